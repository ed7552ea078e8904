"""Language modelling: predicting each next token of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pydantic
import torch
from torch import nn

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.data import DataSet, tokens
from wiregrad.problems.base import register
from wiregrad.problems.deep import DeepProblem, DeepSpec
from wiregrad.problems.models import pretrained
from wiregrad.problems.models.next_token import SHAPES, Decoder, LSTMModel, Size
from wiregrad.problems.samples import Samples


class Windows:
    """A text cut into windows of `context` tokens, each labelled by the token that follows it.

    Window i starts at token ``i * context``; an incomplete window at the end is dropped.

    Args:
        stream: Token ids of the whole text `[n]`, any integer type.
        context: Tokens of a window, below n.
    """

    eval_batch = 32

    def __init__(self, stream: torch.Tensor, context: int) -> None:
        count = (len(stream) - 1) // context
        self._inputs = stream[: count * context].view(count, context)
        self._labels = stream[1 : count * context + 1].view(count, context)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._inputs)

    def batch(
        self, rows: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See Samples. Ids int64 `[b, context]`, and as labels the next ids `[b * context]`."""
        del generators
        rows = rows.to(self._inputs.device)
        return self._inputs[rows].long(), self._labels[rows].long().flatten()

    def sorted_by_cost(self, rows: torch.Tensor) -> torch.Tensor:
        """See Samples. The rows as they are, since all windows cost the same."""
        return rows


@dataclass(frozen=True, kw_only=True)
class _LanguageModel(DeepSpec):
    data: str = "tiny-shakespeare"
    """A text: tiny-shakespeare, war-and-peace, ptb, wikitext-2 or wikitext-103."""
    batch: pydantic.PositiveInt = 8
    """Windows a worker reads in one round."""
    context: int = pydantic.Field(64, ge=2)
    """Number of tokens of a window; losses and accuracies are means over all tokens."""
    tokeniser: str = "byte"
    """`byte`, `word`, or the name of a pretrained encoder whose tokeniser is used."""
    vocabulary: int | None = pydantic.Field(None, ge=2)
    """Size of the vocabulary of `word`; null is all words of the training text."""

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """See DeepSpec. Raises ConfigError where the data set is not a text, or is too short."""
        if found.tensors.keys() != {"train_text", "test_text"}:
            raise ConfigError(f"problem.data: {found.variant!r} is not a text to model")
        if self.vocabulary is not None and self.tokeniser != "word":
            raise ConfigError("problem.vocabulary: allowed with tokeniser: word only")
        how = self.tokeniser
        if how not in {"byte", "word"}:
            how = pretrained.load(how).tokeniser
        read = tokens.encode_text(found, how, self.vocabulary)
        shortest = min(len(read.tensors[f"{split}_tokens"]) for split in tokens.SPLITS)
        if shortest <= self.context:
            raise ConfigError(
                f"problem.context: {self.context} is more than {found.variant} has "
                f"({shortest} tokens, one of which is the last label)"
            )
        return super().bind(read, workers, seeds, device)

    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """See DeepSpec."""
        return Windows(tensors[f"{split}_tokens"], self.context)


@register("lm_gpt2")
@dataclass(frozen=True, kw_only=True)
class GPT2(_LanguageModel):
    """A decoder like GPT-2, randomly initialised; the metric is next-token accuracy.

    The perplexity is the exponential of the loss. With size `small`, bytes and a context of 64,
    d = 834,304.
    """

    size: Size = "small"
    dropout: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Probability of dropout on embeddings and residuals; attention has none."""

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        return Decoder(SHAPES[self.size], int(tensors["size"]), self.context, self.dropout)


@register("lm_lstm")
@dataclass(frozen=True, kw_only=True)
class LSTM(_LanguageModel):
    """An LSTM language model; the metric is next-token accuracy.

    With the defaults, d = 493,824.
    """

    embedding: pydantic.PositiveInt = 128
    """Width of the embedding."""
    hidden: pydantic.PositiveInt = 256
    """Width of the state of each layer."""
    layers: pydantic.PositiveInt = 1

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        return LSTMModel(
            int(tensors["size"]),
            self.context,
            embedding=self.embedding,
            hidden=self.hidden,
            layers=self.layers,
        )
