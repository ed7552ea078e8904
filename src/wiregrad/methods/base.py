"""What a method is: what a worker says, what the server answers, and how x moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.core.layout import BlockKind
from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds

PositiveFloat = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]


@dataclass(frozen=True)
class StepSchedule:
    """Learning rate times `factor` at each of the epochs `milestones`."""

    milestones: tuple[float, ...]
    factor: PositiveFloat = 0.1
    name: Literal["step"] = "step"

    def scale(self, epoch: float) -> float:
        """The multiplier of the learning rate after `epoch` passes over the training set."""
        return float(self.factor ** sum(epoch >= m for m in self.milestones))


@dataclass(frozen=True)
class Step:
    """Where a run is: round `t` = 1..`total`, its learning rate, the epoch it starts in."""

    t: int
    total: int
    lr: float
    epoch: float = 0.0
    seeds: Seeds = Seeds(0)
    """The run's, for what server and workers draw alike."""

    def coin(self, p: float) -> bool:
        """Whether this round's coin, which all see alike, shows heads: with probability p."""
        return self.seeds.seed("method", "coin", self.t) < p * 2.0**63

    def shared_generator(self, name: str) -> torch.Generator:
        """A fresh generator on the CPU, this round's, the same at the server and every worker."""
        return self.seeds.generator("method", name, self.t)


class State(NamedTuple):
    """All state of a method; each part is a dataclass of tensors.

    `workers` has a leading worker dimension (only the worker knows its row), `server` is the
    server's, `replica` is what every worker holds alike; it has the field `x` `[d]`, the point
    at which gradients are taken.
    """

    workers: Any
    server: Any
    replica: Any


@dataclass
class Empty:
    """No state."""


@dataclass
class Replica:
    """The point x `[d]` that all workers hold."""

    x: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """Base of all methods: frozen dataclasses of hyper-parameters. All state is in `State`.

    The three verbs of a round must not draw (but see `Step`), must not look at the device, and
    must leave `grads` to the caller (it may be overwritten once `work` returns).
    """

    name: ClassVar[str]
    source: ClassVar[str]
    """Paper and algorithm."""

    lr: PositiveFloat
    schedule: StepSchedule | None = None
    blocks: BlockKind = "auto"

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Parameters that the conformance tests build it with, beside `lr` and `compressor`.

        A method with another parameter that has no default gives its own.
        """
        return {}

    @abstractmethod
    def init(self, x0: torch.Tensor, n: int) -> State:
        """The state before round 1, for n workers that start at `x0` `[d]`."""

    @abstractmethod
    def work(
        self, workers: Any, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        """Workers turn their gradients `[m, d]` (taken at replica.x) into messages on `up`."""

    @abstractmethod
    def serve(self, server: Any, received: Received, down: Channel, step: Step) -> None:
        """The server turns the decoded messages `[m, d]` into one broadcast on `down`."""

    def move(self, replica: Any, broadcast: torch.Tensor, step: Step) -> None:
        """Every worker turns the decoded broadcast `[d]` into its next x; by default it is x."""
        replica.x.copy_(broadcast)

    def lr_at(self, epoch: float) -> float:
        """The learning rate after `epoch` passes over the training set."""
        return self.lr if self.schedule is None else self.lr * self.schedule.scale(epoch)


def in_turn(grads: torch.Tensor, shared: bool) -> Sequence[torch.Tensor]:
    """Pieces of `grads` `[m, d]` that meet the workers' state together.

    All rows at once where each worker has a state of its own; one row `[1, d]` after the other
    where all of them share one.
    """
    return grads[:, None].unbind() if shared else (grads,)


registry: Registry[Method] = Registry("method")
register = registry.register
