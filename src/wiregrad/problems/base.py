"""The interface of a problem: a model, its data and its loss; it gives the workers' gradients."""

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
    """What is measured at one x; NaN where the problem does not measure a quantity."""

    loss_train: float = NAN
    loss_test: float = NAN
    metric_test: float = NAN
    """In [0, 1], larger is better; for classification the accuracy."""
    grad_norm: float = NAN
    """Euclidean norm of the exact gradient of the objective."""
    loss_valid: float = NAN
    """Loss on the validation split, which tuning reads; never part of a history."""
    metric_valid: float = NAN


class Problem(ABC):
    """A problem bound to its data, its n workers and its seeds.

    Gradients depend on (x, worker, step) alone, never on earlier calls. A run can therefore resume
    with the same bits, and a process can compute the gradient of one worker by itself. That
    gradient has the same bits too, unless several workers go through the network in one pass
    (`worker_groups`); it is then the same up to rounding.
    """

    layout: Layout
    """Names and shapes of the tensors of which x consists."""
    workers: int
    """Number of workers, n."""
    device: torch.device
    dtype: torch.dtype
    """Of x and of the gradients."""
    train_size: int
    """Samples in the training set."""
    samples_per_step: int
    """Samples that all workers together read in one round."""
    steps_per_epoch: int
    """Rounds after which every training sample was read once, at least 1."""
    provenance: dict[str, Any]
    """For the run card: name, variant, source and digest of the data."""
    joint_state: bool = False
    """Whether an evaluation reads state of all workers, not of worker 0 alone."""

    @abstractmethod
    def x0(self) -> torch.Tensor:
        """The starting point `[d]`, a new tensor."""

    @abstractmethod
    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """Write the gradients of some workers at one point to `out`.

        Args:
            x: The point `[d]`.
            step: The round, from 1; it selects the samples and the random numbers.
            out: Where the gradients are written, `[m, d]`, one row for each of `workers`.
            workers: The m workers, each from 0 to n - 1, in ascending order.
        """

    @abstractmethod
    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """Losses and metrics at `x` `[d]`; deterministic."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """State besides x that a checkpoint must hold (batch-norm statistics); usually empty."""
        return {}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what `state_dict` returned. Raises ConfigError where the keys do not fit."""
        if state:
            raise ConfigError(f"checkpoint holds problem state {sorted(state)}, expected none")

    def gradient_buffer(self, rows: int) -> torch.Tensor:
        """A buffer `[rows, d]` for the `out` of `gradients`, in the memory that suits it best."""
        return self.x0().new_zeros(rows, self.dim)

    def worker_groups(self) -> Sequence[Sequence[int]]:
        """The workers in ascending order, in groups whose gradients are computed together."""
        return [range(self.workers)]

    @property
    def dim(self) -> int:
        """Number of parameters, d."""
        return self.layout.numel


class Divisible(Problem):
    """A problem whose work several processes can share, with the bits of a single process.

    The groups of workers, the chunks of an evaluation and the order of sums depend on the run's
    configuration alone, not on the number of processes.
    """

    evaluation_chunks: int
    """Number of chunks into which an evaluation is divided."""

    @abstractmethod
    def bind_parameters(self, x: torch.Tensor) -> None:
        """Let the parameters live in `x` `[d]` from now on.

        Calls that are given this very tensor then copy nothing.
        """

    @abstractmethod
    def bind_state(self, state: dict[str, torch.Tensor]) -> None:
        """Let the state besides x live in these tensors, which hold its values already.

        The keys are those of `state_dict`. The gradient of a worker changes only that worker's
        rows; an evaluation reads them.
        """

    @abstractmethod
    def evaluate_chunk(self, x: torch.Tensor, chunk: int, out: torch.Tensor) -> None:
        """Write the two sums of chunk number `chunk` at `x` `[d]` to `out` `[2]` (float64)."""

    @abstractmethod
    def combine_chunks(self, sums: torch.Tensor) -> Evaluation:
        """The evaluation from the sums `[evaluation_chunks, 2]` of all chunks."""


@dataclass(frozen=True, kw_only=True)
class ProblemSpec(ABC):
    """Base of all problem configurations: frozen dataclasses that build a `Problem`."""

    name: ClassVar[str]

    @abstractmethod
    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Problem:
        """Load the data and bind the problem to them.

        Args:
            workers: Number of workers, at least 1.
            seeds: The seeds of the run.
            device: Where gradients are computed.

        Raises:
            DataUnavailable: No source has the data.
            ConfigError: The data do not fit the problem, or are too few for so many workers.
        """


def provenance(found: DataSet) -> dict[str, str]:
    """What a run card says about the data of a problem."""
    return {
        "name": found.name,
        "variant": found.variant,
        "source": found.source,
        "sha256": found.digest,
    }


registry: Registry[ProblemSpec] = Registry("problem")
register = registry.register
