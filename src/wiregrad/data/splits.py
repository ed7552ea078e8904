"""Splitting a training set: among workers, into epochs of batches, and for validation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds

Remainder = Literal["last", "drop"]

FIXED = Seeds(0)
"""Seeds of everything that is part of a problem, and therefore the same in every run."""

_REDRAWS = 1000
"""Tries of `label_skewed` until every worker has a row."""


def contiguous(rows: int, workers: int, remainder: Remainder = "last") -> list[slice]:
    """Split `rows` rows, in their order, into one slice of rows // workers for each worker.

    The rows that are left over go to the last worker, or to nobody with `remainder` "drop". Raises
    ConfigError where there are fewer rows than workers.
    """
    size = rows // workers
    if size == 0:
        raise ConfigError(f"runtime.workers: {workers} workers for {rows} rows (at most one each)")
    ends = [size * (i + 1) for i in range(workers)]
    if remainder == "last":
        ends[-1] = rows
    return [slice(size * i, end) for i, end in enumerate(ends)]


def label_skewed(labels: torch.Tensor, workers: int, alpha: float) -> list[torch.Tensor]:
    """Split rows among workers who get unequal shares of each label; the same in every run.

    The rows of each label are shuffled and divided by shares from Dirichlet(alpha, ..., alpha).
    Workers thus have unequal numbers of rows. The shares are drawn again until every worker has a
    row. Source: arXiv 1909.06335, section 3, with each label divided as in arXiv 1905.12022.

    Args:
        labels: The label of each row, `[m]`.
        workers: Number of workers, n.
        alpha: Above 0; the smaller, the fewer labels has a worker.

    Returns:
        The row numbers of each worker, ascending (int64).

    Raises:
        ConfigError: A worker remains without a row.
    """
    generator = np.random.default_rng(FIXED.seed("data", "dirichlet"))
    kinds = [np.flatnonzero(labels.numpy() == kind) for kind in np.unique(labels.numpy())]
    for _ in range(_REDRAWS if workers <= len(labels) else 0):
        parts: list[list[np.ndarray]] = [[] for _ in range(workers)]
        for rows in kinds:
            shares = generator.dirichlet(np.full(workers, alpha))
            cuts = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(int)
            for part, mine in zip(parts, np.split(generator.permutation(rows), cuts), strict=True):
                part.append(mine)
        found = [np.sort(np.concatenate(part)) for part in parts]
        if all(len(part) for part in found):
            return [torch.from_numpy(part) for part in found]
    raise ConfigError(
        f"problem.alpha: {alpha:g} leaves one of {workers} workers without any of {len(labels)}"
        " rows (larger alpha, or fewer workers)"
    )


def fixed_order(rows: int) -> torch.Tensor:
    """A fixed permutation (int64) of `rows` row numbers; a part of a set is its beginning."""
    return torch.randperm(rows, generator=FIXED.generator("data", "limit"))


def held_out(
    rows: int, limit: int | None = None, valid_fraction: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row numbers (int64) of the training set and of the validation set, which are disjoint.

    The first `limit` rows (None: all) of a fixed permutation are used, of which the last
    ``round(valid_fraction * limit)`` are for validation; `valid_fraction` is in [0, 1). Raises
    ConfigError where `limit` is above `rows`, or a set would be empty.
    """
    if limit is not None and limit > rows:
        raise ConfigError(f"problem.train_limit: {limit} is above the {rows} rows of the set")
    chosen = fixed_order(rows)[:limit]
    valid = round(valid_fraction * len(chosen))
    if valid == len(chosen) or (valid == 0 and valid_fraction > 0):
        raise ConfigError(
            f"problem.valid_fraction: {valid_fraction:g} of {len(chosen)} rows leaves a set empty"
        )
    return chosen[: len(chosen) - valid], chosen[len(chosen) - valid :]


@dataclass
class EpochBatches:
    """The rows that each worker reads in each round.

    Every epoch is a permutation of the training set, drawn from the generator ``data/epoch/e``. It
    is divided into global batches of ``workers * batch`` samples, and each of these among the
    workers. What remains at the end of an epoch is dropped. Raises ConfigError where a global batch
    is larger than the training set.
    """

    size: int
    """Samples of the training set."""
    workers: int
    batch: int
    """Samples of one worker in one round."""
    seeds: Seeds
    _epoch: int = field(default=-1, init=False)
    _order: torch.Tensor = field(default_factory=lambda: torch.empty(0), init=False)

    def __post_init__(self) -> None:
        if self.per_epoch == 0:
            raise ConfigError(
                f"problem.batch: {self.workers} workers x {self.batch} is more than the "
                f"{self.size} training samples"
            )

    @property
    def per_step(self) -> int:
        """Samples of a global batch."""
        return self.workers * self.batch

    @property
    def per_epoch(self) -> int:
        """Global batches of an epoch."""
        return self.size // self.per_step

    def rows(self, worker: int, step: int) -> torch.Tensor:
        """Positions `[batch]` (int64) in the training set for `worker` in `step` (from 1)."""
        epoch, position = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:
            generator = self.seeds.generator("data", "epoch", epoch)
            self._epoch, self._order = epoch, torch.randperm(self.size, generator=generator)
        start = position * self.per_step + worker * self.batch
        return self._order[start : start + self.batch]
