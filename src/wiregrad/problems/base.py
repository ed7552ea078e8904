"""What a problem is: a model, its data and its loss; it gives the gradients of n workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import Layout
from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds
from wiregrad.data import DataSet

NAN = float("nan")


@dataclass(frozen=True)
class Evaluation:
    """Measured at one x. NaN where the problem does not measure a quantity."""

    loss_train: float = NAN
    loss_test: float = NAN
    metric_test: float = NAN
    grad_norm: float = NAN
    loss_valid: float = NAN
    """Loss on the validation split, which tuning reads; never part of a history."""
    metric_valid: float = NAN


class Problem(ABC):
    """A problem bound to its data, its n workers and its seeds.

    Gradients depend on (x, worker, step) alone, never on earlier calls, so that a run can resume
    with the same bits, and a process can compute one worker's row by itself: with the same bits
    too, unless the problem says that it joins workers (`per_pass`), then the same to rounding.
    """

    layout: Layout
    workers: int
    device: torch.device
    dtype: torch.dtype
    train_size: int
    """Samples in the training set."""
    samples_per_step: int
    """Samples that all workers together read in one round."""
    steps_per_epoch: int
    provenance: dict[str, Any]
    """For the run card: name, variant, source and digest of the data."""
    joint_state: bool = False
    """Whether an evaluation reads state of all workers, not of worker 0 alone."""

    @abstractmethod
    def x0(self) -> torch.Tensor:
        """The starting point `[d]`."""

    @abstractmethod
    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """Write the gradients of `workers` at `x` in round `step` (from 1) to `out` `[m, d]`."""

    @abstractmethod
    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """Losses and metrics at `x`; draws nothing."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """State besides x that a checkpoint must hold (batch-norm statistics); mostly none."""
        return {}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from `state`."""
        if state:
            raise ConfigError(f"checkpoint holds problem state {sorted(state)}, expected none")

    def gradient_buffer(self, rows: int) -> torch.Tensor:
        """An `out` `[rows, d]` for the gradients of as many workers, where they cost least."""
        return self.x0().new_zeros(rows, self.dim)

    def portions(self) -> Sequence[Sequence[int]]:
        """The workers in order, cut into those whose gradients are computed together."""
        return [range(self.workers)]

    @property
    def dim(self) -> int:
        """Number of parameters, d."""
        return self.layout.numel


class Divisible(Problem):
    """A problem whose work several processes can share, with the bits of one.

    What is computed together, and the order of sums, is fixed by the run alone.
    """

    parts: int
    """Into how many parts an evaluation falls."""

    @abstractmethod
    def settle(self, x: torch.Tensor) -> None:
        """Compute at `x` `[d]` from now on, in place: calls that are given it copy nothing."""

    @abstractmethod
    def portions(self) -> Sequence[Sequence[int]]:
        """The workers, cut into those whose gradients are computed together; worker 0 first."""

    @abstractmethod
    def share_state(self, state: dict[str, torch.Tensor]) -> None:
        """Keep the state besides x (`state_dict`) in these tensors, which hold it already.

        A worker's gradient changes its own rows alone; an evaluation reads them.
        """

    @abstractmethod
    def score(self, x: torch.Tensor, part: int, out: torch.Tensor) -> None:
        """Write what the evaluation needs of one part at `x` to `out` `[2]` (float64)."""

    @abstractmethod
    def evaluation(self, scores: torch.Tensor) -> Evaluation:
        """The evaluation from the scores `[parts, 2]` of all parts."""


@dataclass(frozen=True, kw_only=True)
class ProblemSpec(ABC):
    """Base of all problem configurations: frozen dataclasses that build a `Problem`."""

    name: ClassVar[str]

    @abstractmethod
    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Problem:
        """Load the data and bind them; raises DataUnavailable or ConfigError."""


def provenance(found: DataSet) -> dict[str, str]:
    """What a run card says of a problem's data."""
    return {
        "name": found.name,
        "variant": found.variant,
        "source": found.source,
        "sha256": found.digest,
    }


registry: Registry[ProblemSpec] = Registry("problem")
register = registry.register
