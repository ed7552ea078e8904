"""Rules for the delays τ_k^i of x_{k+1} = x_k − γ Σ Q(∇f_i(x_{k−τ_k^i})).

Until update τ there are fewer points to read: a delay is at most k.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pydantic

from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds

Count = Annotated[int, pydantic.Field(ge=0, strict=True)]


@dataclass(frozen=True)
class DelayContext:
    """What a rule may look at when it chooses the delays of one update."""

    k: int
    """Updates so far: the points are x_0, …, x_k."""
    seeds: Seeds
    distances: Callable[[], Sequence[float]]
    """‖x_k − x_{k−j}‖ for j = 0, …, min(τ, k)."""


@dataclass(frozen=True, kw_only=True)
class Delay(ABC):
    """Base of the rules; every τ_k^i ≤ `tau`."""

    name: ClassVar[str]

    tau: Count = 0

    def of(self, worker: int, context: DelayContext) -> int:
        """τ_k^i of this worker, at most min(τ, k)."""
        return min(self.wanted(worker, context), context.k)

    @abstractmethod
    def wanted(self, worker: int, context: DelayContext) -> int:
        """τ_k^i where there are enough points."""


registry: Registry[Delay] = Registry("delay")
register = registry.register


@register("constant")
@dataclass(frozen=True, kw_only=True)
class Constant(Delay):
    """τ_k^i = τ."""

    def wanted(self, worker: int, context: DelayContext) -> int:
        return self.tau


@register("cyclic")
@dataclass(frozen=True, kw_only=True)
class Cyclic(Delay):
    """τ_k^i = (k + i) mod (τ + 1): each worker reads x anew every τ + 1 updates, in turn."""

    def wanted(self, worker: int, context: DelayContext) -> int:
        return (context.k + worker) % (self.tau + 1)


@register("random")
@dataclass(frozen=True, kw_only=True)
class Random(Delay):
    """τ_k^i uniform on 0, …, τ, each on its own."""

    def wanted(self, worker: int, context: DelayContext) -> int:
        draw = context.seeds.seed("delay", worker, context.k)
        return draw * (self.tau + 1) >> 63


@register("worst")
@dataclass(frozen=True, kw_only=True)
class Worst(Delay):
    """An adversary: of x_k, …, x_{k−τ} every worker is given the one farthest from x_k."""

    def wanted(self, worker: int, context: DelayContext) -> int:
        distances = list(context.distances())
        return distances.index(max(distances))
