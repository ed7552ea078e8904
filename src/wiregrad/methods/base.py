"""What a method is: what a worker says, what the server answers, and how x moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.core.layout import BlockKind
from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds
from wiregrad.methods.premises import Dimensions, Premises
from wiregrad.methods.state import Empty, Replica, State

__all__ = [
    "Empty",
    "Fraction",
    "Method",
    "NonNegative",
    "Partial",
    "PositiveFloat",
    "Probability",
    "Replica",
    "State",
    "Step",
    "StepSchedule",
    "register",
    "registry",
]

PositiveFloat = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Probability = Annotated[float, pydantic.Field(gt=0, le=1)]

Partial = Literal["arrived", "padded"]
"""What `serve` is given when only some of the workers' messages have arrived.

arrived  their rows `[m, d]` alone: the server takes the mean, or the sum, of what there is;
padded   rows `[n, d]`, empty messages for all others: a message changes a mean over all workers.
"""


@dataclass(frozen=True)
class StepSchedule:
    """Multiplies the learning rate by `factor` at each of the epochs `milestones`."""

    milestones: tuple[float, ...]
    """In passes over the training set."""
    factor: PositiveFloat = 0.1
    name: Literal["step"] = "step"

    def scale(self, epoch: float) -> float:
        """The multiplier of the learning rate after `epoch` passes over the training set."""
        return float(self.factor ** sum(epoch >= m for m in self.milestones))


@dataclass(frozen=True)
class Step:
    """Where a run is: its round t and all that is the same for everyone in this round."""

    t: int
    """The round, 1 to `total`."""
    total: int
    """Rounds that the budget allows."""
    lr: float
    """Learning rate of this round; in a sweep of R runs a tensor `[R, 1]`."""
    epoch: float = 0.0
    """Passes over the training set before this round."""
    seeds: Seeds = Seeds(0)
    """The run's seeds, for what the server and all workers draw alike."""

    def coin(self, p: float) -> bool:
        """Whether this round's coin shows heads, with probability p: all see the same coin."""
        return self.seeds.seed("method", "coin", self.t) < p * 2.0**63

    def shared_generator(self, name: str) -> torch.Generator:
        """A fresh generator on the CPU for this round, the same at the server and every worker."""
        return self.seeds.generator("method", name, self.t)


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """Base of all methods: a frozen dataclass of hyper-parameters. All state is in `State`.

    A round is `work` at the workers, `serve` at the server, `move` at every worker. These three
    must not draw random numbers (but see `Step`), must not ask for the device, and must not change
    `grads`, nor keep them: they may be overwritten once `work` returns.

    What else a method can do its class says: `partial`, `sweepable`, `premises`, `informed`.
    """

    name: ClassVar[str]
    """Set by `register`."""
    source: ClassVar[str]
    """Paper and algorithm."""
    partial: ClassVar[Partial | None] = None
    """How the server goes on when some workers have not been heard; None: it needs all of them.

    The asynchronous runtimes ask for it. It is None where server and workers count rounds together,
    or where a message means nothing without the others'.
    """
    sweepable: ClassVar[bool] = False
    """Whether R runs with different hyper-parameters can advance as one.

    Each verb then has to work with R leading dimensions on all states, gradients and messages, and
    with tensors `[R, 1]` in place of `lr` and of other swept hyper-parameters.
    """

    lr: PositiveFloat
    """Learning rate, > 0."""
    schedule: StepSchedule | None = None
    """How the learning rate falls over the epochs; None: it is constant."""
    blocks: BlockKind = "auto"
    """What is compressed as one vector; auto: as the compressor prefers."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Hyper-parameters with which the conformance tests build the method.

        `lr` and `compressor` are given by the tests. A method with another parameter that has no
        default overrides this.
        """
        return {}

    @abstractmethod
    def init(self, x0: torch.Tensor, n: int) -> State:
        """The state before round 1, for n workers that start at `x0` `[d]`."""

    @abstractmethod
    def work(
        self, workers: Any, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        """Workers turn their gradients `[m, d]`, taken at replica.x, into messages on `up`."""

    @abstractmethod
    def serve(self, server: Any, received: Received, down: Channel, step: Step) -> None:
        """The server turns the decoded messages `[m, d]` into one broadcast on `down`."""

    def move(self, replica: Any, broadcast: torch.Tensor, step: Step) -> None:
        """Every worker turns the decoded broadcast `[d]` into its next x; by default it is x."""
        replica.x.copy_(broadcast)

    def lr_at(self, epoch: float) -> float:
        """The learning rate after `epoch` passes over the training set."""
        return self.lr if self.schedule is None else self.lr * self.schedule.scale(epoch)

    def premises(self, size: Dimensions) -> Premises | None:
        """What the theorems that cover the method need to know of it; None if none does.

        Raises NotCovered if they do not hold for its compressor.
        """
        return None

    def informed(self, smoothness: Sequence[float]) -> Method:
        """The method with the L_i of a problem, one a worker, where it asks for them.

        A sweep calls this, as it knows the constants of its problem. By default nothing changes.
        """
        return self


registry: Registry[Method] = Registry("method")
register = registry.register
