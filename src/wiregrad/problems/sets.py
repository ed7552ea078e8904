"""The labelled sets of a deep problem: what they offer, and what is evaluated of them."""

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
        """Inputs and labels `[b]` (int64) of `rows`.

        `generators` (on the CPU) augment them, each an equal part.
        """

    def in_order(self, rows: torch.Tensor) -> torch.Tensor:
        """The same rows in the order in which evaluating them is cheapest."""


@dataclass(frozen=True)
class Splits:
    """The sets of a problem: `train` and `test`, and which rows of `train` are for what."""

    train: Samples
    test: Samples
    train_rows: torch.Tensor
    valid_rows: torch.Tensor
    """Empty, or the rows held out of training for tuning."""

    def chunks(
        self, eval_train: int | None, eval_test: int | None
    ) -> list[tuple[str, torch.Tensor]]:
        """What is evaluated at a time, in order: the name of the set, and rows of it.

        Of `train` and `test` a fixed part of the size given, or all. Raises ConfigError where
        there are fewer.
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
            for chunk in torch.split(samples.in_order(rows), samples.eval_batch)
        ]


def _first(key: str, rows: torch.Tensor, limit: int | None) -> torch.Tensor:
    if limit is not None and limit > len(rows):
        raise ConfigError(f"problem.{key}: {limit} is above the {len(rows)} samples there are")
    return rows[:limit]
