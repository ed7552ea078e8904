"""The labelled samples of a deep problem: how batches are taken, and what is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from wiregrad.core.errors import ConfigError
from wiregrad.data.splits import fixed_order


class Samples(Protocol):
    """A labelled set from which batches are taken."""

    eval_batch: int
    """Samples that are evaluated at a time."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(
        self, rows: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs `[b, ...]` and labels (int64) of the samples with numbers `rows` (int64 `[b]`).

        With `generators` (on the CPU) the inputs are augmented; each generator draws for an equal
        part of the rows, one part after the other.
        """

    def sorted_by_cost(self, rows: torch.Tensor) -> torch.Tensor:
        """The same rows in the order in which evaluating them is cheapest."""


@dataclass(frozen=True)
class Splits:
    """The sets of a problem, and which rows of the training set serve what."""

    train: Samples
    test: Samples
    train_rows: torch.Tensor
    """Rows of `train` to train on (int64)."""
    valid_rows: torch.Tensor
    """Rows of `train` that are held out for tuning (int64); may be empty."""

    def chunks(
        self, eval_train: int | None, eval_test: int | None
    ) -> list[tuple[str, torch.Tensor]]:
        """What an evaluation covers, in chunks that are evaluated one at a time.

        Args:
            eval_train: Number of training samples, a fixed part of them; None is all.
            eval_test: The same for test samples.

        Returns:
            For each chunk "train", "test" or "valid", and its rows (int64): of `test` for "test",
            else of `train`.

        Raises:
            ConfigError: There are fewer samples than asked for.
        """
        sets = {
            "train": (self.train, _first("eval_train", self.train_rows, eval_train)),
            "test": (self.test, _first("eval_test", fixed_order(len(self.test)), eval_test)),
            "valid": (self.train, self.valid_rows),
        }
        return [
            (name, chunk)
            for name, (samples, rows) in sets.items()
            if len(rows)
            for chunk in torch.split(samples.sorted_by_cost(rows), samples.eval_batch)
        ]


def _first(key: str, rows: torch.Tensor, limit: int | None) -> torch.Tensor:
    if limit is not None and limit > len(rows):
        raise ConfigError(f"problem.{key}: {limit} is above the {len(rows)} samples of the set")
    return rows[:limit]
