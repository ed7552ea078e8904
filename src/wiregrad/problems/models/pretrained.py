"""Pretrained encoders for classification: from the catalogue, or any that `transformers` can load.

No code that comes with a model is executed: weights are safetensors (or read with
``weights_only``), configuration and tokeniser are JSON, and code of repositories is not trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from wiregrad import data
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.data.encoder import WEIGHTS
from wiregrad.problems.models.layers import Dropout

Trainable = Literal["all", "head"] | int


@dataclass(frozen=True)
class Pretrained:
    """A pretrained encoder without its head."""

    name: str
    config: dict[str, Any]
    """The configuration of `transformers`, including `model_type`."""
    tokeniser: str
    """The content of its tokenizer.json."""
    weights: Mapping[str, torch.Tensor]
    """By the parameter names of `transformers`."""
    digest: str
    """Sha256 of the prepared tensors (from the catalogue) or of the weights."""


@lru_cache(maxsize=1)
def load(name: str) -> Pretrained:
    """The encoder `name`: from the catalogue, else a folder, else from the Hugging Face hub.

    Raises DataUnavailable where no source has it, and ConfigError where it has no fast tokeniser.
    """
    if name in data.entries():
        found = data.load(name)
        texts = {k: found.tensors[k].numpy().tobytes().decode() for k in ("config", "tokenizer")}
        weights = {
            key.removeprefix(WEIGHTS): tensor
            for key, tensor in found.tensors.items()
            if key.startswith(WEIGHTS)
        }
        config = json.loads(texts["config"])
        return Pretrained(name, config, texts["tokenizer"], weights, found.digest)
    return _from_transformers(name)


def _from_transformers(name: str) -> Pretrained:
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - seconds of import

    options = {"local_files_only": Path(name).is_dir(), "trust_remote_code": False}
    try:
        tokeniser = AutoTokenizer.from_pretrained(name, **options)
        with Seeds(0).scope("pretrained"):  # weights that the files lack are random
            model = AutoModel.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataUnavailable(f"problem.model: {name}: {reason}") from None
    if not tokeniser.is_fast:
        raise ConfigError(f"problem.model: {name} has no tokenizer.json (a fast tokeniser)")
    weights = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    sha = hashlib.sha256()
    for key in sorted(weights):
        sha.update(key.encode())
        sha.update(weights[key].contiguous().view(torch.uint8).numpy().tobytes())
    text = tokeniser.backend_tokenizer.to_str()
    return Pretrained(name, model.config.to_dict(), text, weights, sha.hexdigest())


class Classifier(nn.Module):
    """A pretrained encoder with a fresh head, for token ids that are padded at the end by -1.

    Args:
        network: A sequence classifier of `transformers`.
        padding: Its own id for padding.
    """

    def __init__(self, network: nn.Module, padding: int) -> None:
        super().__init__()
        self.network = network
        self._padding = padding

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """From ids int64 `[b, l]` to logits `[b, classes]`; for pairs ids and segments `[b, 2, l]`.

        Attention ignores the positions whose id is -1.
        """
        ids, *segments = inputs.unbind(1) if inputs.dim() == 3 else (inputs,)
        mask = ids >= 0
        more = {"token_type_ids": segments[0]} if segments else {}
        found = self.network(
            input_ids=ids.where(mask, self._padding), attention_mask=mask.long(), **more
        )
        logits: torch.Tensor = found.logits
        return logits


def classifier(
    pretrained: Pretrained, classes: int, dropout: float, trainable: Trainable
) -> Classifier:
    """A classifier with the weights of `pretrained` and a head from the global generator.

    Args:
        pretrained: The encoder.
        classes: Number of classes, at least 2.
        dropout: Probability of all dropout layers except those of attention, in [0, 1). Attention
            has none: when fused, it draws from the global generator, which a run must not use.
        trainable: Which parameters get gradients; see `wiregrad.problems.finetune.Finetune`.

    Raises:
        ConfigError: Weights are missing, there are fewer layers than `trainable`, or the network
            draws from the global generator nevertheless.
    """
    from transformers import (  # noqa: PLC0415 - seconds of import
        AutoConfig,
        AutoModelForSequenceClassification,
    )

    given = dict(pretrained.config)
    config = AutoConfig.for_model(given.pop("model_type"), **given)
    config.num_labels = classes
    if config.pad_token_id is None:
        config.pad_token_id = config.eos_token_id or 0
    _set_dropout(config, dropout)
    auto: Any = AutoModelForSequenceClassification  # its methods have no types
    network: nn.Module = auto.from_config(config, dtype=torch.float32)
    base: Any = network.base_model
    missing, _ = base.load_state_dict(dict(pretrained.weights), strict=False)
    absent = [key for key in missing if not key.startswith("pooler.")]
    if absent:
        raise ConfigError(f"problem.model: {pretrained.name} has no weights for {absent[0]}")
    use_own_dropout(network)
    _freeze(base, trainable)
    model = Classifier(network, config.pad_token_id)
    _require_own_randomness(model, pretrained.name)
    return model


def _set_dropout(config: Any, p: float) -> None:
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float | int) and not isinstance(value, bool):
            setattr(config, key, 0.0 if "att" in key or "layerdrop" in key else p)


def use_own_dropout(network: nn.Module) -> None:
    """Replace every dropout layer by one that draws from the generators of the workers."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout) and child.p > 0:
                setattr(parent, name, Dropout(child.p))


def _freeze(base: nn.Module, trainable: Trainable) -> None:
    """Keep gradients for all, for the head, or for the head, the pooler and the last layers."""
    if trainable == "all":
        return
    for parameter in base.parameters():
        parameter.requires_grad = False
    if trainable == "head":
        return
    stacks = [m for m in base.modules() if isinstance(m, nn.ModuleList)]
    layers = max(stacks, key=len, default=())
    if trainable > len(layers):
        raise ConfigError(f"problem.trainable: {trainable} of {len(layers)} layers")
    thawed = [*list(layers)[len(layers) - trainable :], getattr(base, "pooler", None)]
    for module in thawed:
        if module is not None:
            module.requires_grad_()


def _require_own_randomness(model: Classifier, name: str) -> None:
    """Raise ConfigError where a pass in training uses the global generator."""
    own = Seeds(0).generator("probe")
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generators = [own]
    before = torch.default_generator.get_state()
    with torch.no_grad():
        model.train()(torch.tensor([[1, 2], [1, 2]]))
    if not torch.equal(before, torch.default_generator.get_state()):
        raise ConfigError(
            f"problem.model: {name} uses torch's global generator in training, "
            "which is not allowed (try problem.dropout: 0)"
        )
