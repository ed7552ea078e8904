"""How long a worker takes for a gradient, in simulated seconds.

A time depends on (seed, worker, the worker's own round) alone, so that methods are compared under
the same times, and a run that resumes needs no state for them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, ClassVar

import pydantic

from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class ComputeTime(ABC):
    """Base of the models of compute time."""

    name: ClassVar[str]

    slowdown: tuple[Positive, ...] = ()
    """FactorBlock of the times of worker 0, 1, …; 1 for those beyond."""

    def seconds(self, seeds: Seeds, worker: int, t: int) -> float:
        """Seconds for the gradient of `worker` in its own round t, from 1."""
        factor = self.slowdown[worker] if worker < len(self.slowdown) else 1.0
        return factor * self.draw(seeds, worker, t)

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the model reads."""
        return ()

    @abstractmethod
    def draw(self, seeds: Seeds, worker: int, t: int) -> float:
        """Seconds, without the worker's factor."""


@dataclass(frozen=True, kw_only=True)
class Drawn(ComputeTime):
    """Base of the models that draw each time on its own, by inversion."""

    def draw(self, seeds: Seeds, worker: int, t: int) -> float:
        """See ComputeTime."""
        u = (seeds.seed("compute", worker, t) + 0.5) / 2.0**63
        return self.quantile(min(u, 1 - 2.0**-53))  # below 1 in float64

    @abstractmethod
    def quantile(self, u: float) -> float:
        """The time that a share u of all times stays below, 0 < u < 1."""


registry: Registry[ComputeTime] = Registry("compute time")
register = registry.register


@register("constant")
@dataclass(frozen=True, kw_only=True)
class Constant(ComputeTime):
    """Always the same."""

    mean: NonNegative = 1.0

    def draw(self, seeds: Seeds, worker: int, t: int) -> float:
        return self.mean


@register("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Drawn):
    """Uniform on [low, high]."""

    low: NonNegative = 0.5
    high: NonNegative = 1.5

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f".high: {self.high}, allowed: at least low = {self.low}")

    def quantile(self, u: float) -> float:
        return self.low + u * (self.high - self.low)


@register("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Drawn):
    """`floor` seconds and an exponential time, `mean` in all."""

    mean: Positive = 1.0
    floor: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.mean < self.floor:
            raise ValueError(f".mean: {self.mean}, allowed: at least floor = {self.floor}")

    def quantile(self, u: float) -> float:
        return self.floor - (self.mean - self.floor) * math.log1p(-u)


@register("lognormal")
@dataclass(frozen=True, kw_only=True)
class Lognormal(Drawn):
    """Stragglers: median·exp(sigma·N(0, 1))."""

    median: Positive = 1.0
    sigma: Positive = 1.0

    def quantile(self, u: float) -> float:
        return self.median * math.exp(self.sigma * NormalDist().inv_cdf(u))


@register("pareto")
@dataclass(frozen=True, kw_only=True)
class Pareto(Drawn):
    """Heavy tails: P(time > s) = (scale/s)^shape for s ≥ scale; no mean where shape ≤ 1."""

    scale: Positive = 1.0
    shape: Positive = 2.0

    def quantile(self, u: float) -> float:
        return float(self.scale * (1 - u) ** (-1 / self.shape))


@register("trace")
@dataclass(frozen=True, kw_only=True)
class Trace(ComputeTime):
    """Measured times from a text file: a line a round, in seconds; `#` begins a comment.

    Worker i reads column i modulo the columns; after the last line the first one follows.
    """

    path: str

    @property
    def files(self) -> tuple[str, ...]:
        """See ComputeTime."""
        return (self.path,)

    def draw(self, seeds: Seeds, worker: int, t: int) -> float:
        rows = read_trace(self.path)
        row = rows[(t - 1) % len(rows)]
        return row[worker % len(row)]


@cache
def read_trace(path: str) -> list[list[float]]:
    """The times of a trace; raises ConfigError naming the file and the line."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a readable trace ({error})") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = [-1.0]
        if not all(math.isfinite(s) and s >= 0 for s in row):
            raise ConfigError(f"{path}: line {number}: allowed: seconds, at least 0")
        if row and rows and len(row) != len(rows[0]):
            raise ConfigError(f"{path}: line {number}: {len(row)} columns, not {len(rows[0])}")
        rows += [row] if row else []
    if not rows:
        raise ConfigError(f"{path}: no times")
    return rows
