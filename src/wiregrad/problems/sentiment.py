"""Sentiment classification of film reviews: the LSTM of COMP-AMS on IMDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pydantic
import torch
from torch import nn

from wiregrad.core.errors import ConfigError
from wiregrad.problems.base import register
from wiregrad.problems.deep import DeepSpec
from wiregrad.problems.models.lstm import ReviewLSTM
from wiregrad.problems.samples import Samples

WORDS = 2000
"""Size of the vocabulary, without padding and the unknown word."""


class Reviews:
    """Reviews as token ids int16 `[N, length]`, padded at the end, with labels 0 or 1 `[N]`.

    `lengths` `[N]` (int64) are the numbers of words.
    """

    eval_batch = 250

    def __init__(self, tokens: torch.Tensor, lengths: torch.Tensor, labels: torch.Tensor) -> None:
        self._tokens, self._lengths, self._labels = tokens, lengths, labels

    def __len__(self) -> int:
        """Number of reviews."""
        return len(self._labels)

    def batch(
        self, rows: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See Samples. Tokens int16 `[b, length]` and labels `[b]`; nothing is augmented."""
        del generators
        rows = rows.to(self._labels.device)
        return self._tokens[rows], self._labels[rows]

    def sorted_by_cost(self, rows: torch.Tensor) -> torch.Tensor:
        """See Samples. By ascending length, so that batches have little padding."""
        return rows[self._lengths.to(rows.device)[rows].argsort(stable=True)]


@register("imdb_lstm")
@dataclass(frozen=True, kw_only=True)
class ImdbLSTM(DeepSpec):
    """IMDB, a vocabulary of 2,000 words, length 500; embedding 32, LSTM 64, fc 64→64→2.

    COMP-AMS, section 5: 16 workers with 16 reviews each. d = 93,442; the embedding has 2,002 rows
    (padding, unknown word, vocabulary), and the LSTM has torch's two biases.
    """

    data: str = "imdb"
    batch: pydantic.PositiveInt = 16

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        del tensors
        return ReviewLSTM(WORDS)

    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """See DeepSpec. Raises ConfigError where the data set holds no tokens."""
        if f"{split}_tokens" not in tensors:
            raise ConfigError(f"problem.data: {self.data!r} has no tokens, which {self.name} needs")
        return Reviews(*(tensors[f"{split}_{part}"] for part in ("tokens", "lengths", "labels")))
