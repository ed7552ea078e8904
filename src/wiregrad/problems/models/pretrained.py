"""Pretrained encoders for classification: from the catalogue, or whatever `transformers` can load.

Nothing that a model carries is executed: its weights are safetensors (or read with
``weights_only``), its configuration and tokeniser are JSON, and no code of a repository is trusted.
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
    """What fine-tuning starts from."""

    name: str
    config: dict[str, Any]
    """The configuration of `transformers`, with its `model_type`."""
    tokeniser: str
    """The text of its tokenizer.json."""
    weights: Mapping[str, torch.Tensor]
    digest: str
    """The sha256 of the catalogue, or that of the weights."""


@lru_cache(maxsize=1)
def load(name: str) -> Pretrained:
    """The encoder `name`: of the catalogue, else a folder, else of the Hugging Face hub.

    Raises DataUnavailable where it cannot be had, ConfigError where it has no fast tokeniser.
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
        with Seeds(0).scope("pretrained"):  # weights that the files lack are drawn
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
    """A pretrained encoder with a fresh head, for token ids padded at the end by -1."""

    def __init__(self, network: nn.Module, padding: int) -> None:
        super().__init__()
        self.network = network
        self._padding = padding

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Ids int64 `[b, l]`, or `[b, 2, l]` with the segments of pairs, to logits `[b, classes]`.

        The mask of attention is where ids are not -1.
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
    """`pretrained` with a head for `classes`, which the global generator initialises.

    `dropout` is the p of all dropouts but those of attention, which are 0: fused attention draws
    from the global generator, which no run may touch. Raises ConfigError where weights are missing
    or the network draws from that generator all the same.
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
    """Replace every dropout with one that draws from the generators of the workers."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout) and child.p > 0:
                setattr(parent, name, Dropout(child.p))


def _freeze(base: nn.Module, trainable: Trainable) -> None:
    """Leave gradients to all, to the head, or to the head, the pooler and the last layers."""
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
    own = Seeds(0).generator("probe")
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generators = [own]
    before = torch.default_generator.get_state()
    with torch.no_grad():
        model.train()(torch.tensor([[1, 2], [1, 2]]))
    if not torch.equal(before, torch.default_generator.get_state()):
        raise ConfigError(f"problem.model: {name} draws by itself in training; set dropout: 0")
