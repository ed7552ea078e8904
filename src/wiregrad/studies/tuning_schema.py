"""The blocks `tuning` and `sweep` of an experiment: what is tried, and how the best is chosen."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.studies.files import RATE
from wiregrad.studies.search import REFINED, Axis

LEAST_FRACTION = 0.25
"""Of a run, that a trial of a tuning to the interior lasts at least."""


class Section(pydantic.BaseModel):
    """A mapping of a configuration file: unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Range(Section):
    """A geometric grid of a hyper-parameter, and its natural ends; a single value is fixed."""

    grid: Annotated[tuple[pydantic.NonNegativeFloat, ...], pydantic.Field(min_length=1)]
    low: pydantic.NonNegativeFloat = 0.0
    high: pydantic.PositiveFloat = math.inf
    whole: bool = False
    """Whether values are whole numbers."""
    share: bool = False
    """Whether values are shares of a run's rounds: a trial gets the share of its own rounds that is
    as many rounds."""

    @pydantic.model_validator(mode="after")
    def _two_to_grow(self) -> Range:
        if len(self.grid) > 1 and sum(value > 0 for value in self.grid) < 2:
            raise ValueError("grid: two positive values at least, or a single value")
        return self

    def axis(self, name: str, cap: int | None) -> Axis:
        """The axis of a search."""
        low = max(self.low, 1.0) if self.whole else self.low
        return Axis(name, tuple(sorted(self.grid)), cap, low, self.high, self.whole)


class Tuning(Section):
    """The same learning-rate grid for every method, on a validation split, with its own seeds.

    With a `cap` the grid is extended until the best rate has a worse neighbour on both sides, and
    then refined: `wiregrad.studies.search`. Without one it is tried as it stands. On a problem that
    has no samples to spare, an objective by itself, `metric` is of the objective.
    """

    grid: Annotated[tuple[pydantic.PositiveFloat, ...], pydantic.Field(min_length=2)]
    shift: dict[str, pydantic.PositiveFloat] = {}
    """Factor on the whole grid by label: as many points, elsewhere (SGD wants larger rates)."""
    cap: pydantic.PositiveInt | None = None
    """Values tried at the most, the same for every label; 2 of them are the refinement."""
    also: dict[str, dict[str, Range]] = {}
    """Further keys of a run to tune by label, in all combinations with the rates."""
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1)]
    budget: dict[str, Any]
    """As that of a run, at a constant rate; or `fraction` alone: that part of the run's own budget,
    with the run's schedule shrunk to it."""
    metric: Literal["loss_valid", "metric_valid", "loss_train", "grad_norm"] = "loss_valid"
    valid_fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.1

    @pydantic.model_validator(mode="after")
    def _fair(self) -> Tuning:
        fraction = self.budget.get("fraction")
        if fraction is not None:
            if len(self.budget) > 1:
                raise ValueError(
                    "budget.fraction: stands alone (`budget!:` replaces what was there)"
                )
            if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
                raise ValueError(f"budget.fraction: a number in (0, 1] (got {fraction!r})")
        ranges = [given for own in self.also.values() for given in own.values()]
        if fraction is None and any(given.share for given in ranges):
            raise ValueError("also: a share of a run's rounds wants budget: { fraction: … }")
        if self.cap is None:
            return self
        longest = max(len(grid) for grid in (self.grid, *(given.grid for given in ranges)))
        if self.cap < longest + REFINED:
            least = longest + REFINED
            raise ValueError(f"cap: {least} at least, the grid and {REFINED} values to refine it")
        if fraction is None or fraction < LEAST_FRACTION:
            raise ValueError(
                f"budget: with a cap it is {{ fraction: {LEAST_FRACTION} }} of the run's or more, "
                f"so that the best rate of a trial is that of a run (got {self.budget})"
            )
        if self.splits and len(self.seeds) < 2:
            raise ValueError("seeds: two at least, with a cap and a validation split")
        return self

    @property
    def fraction(self) -> float | None:
        """The part of the run's budget that a trial has, if it is given as one."""
        return self.budget.get("fraction")

    @property
    def splits(self) -> bool:
        """Whether a validation split is set aside."""
        return self.metric.endswith("_valid")

    @property
    def minimise(self) -> bool:
        """Whether less of the metric is better."""
        return self.metric != "metric_valid"

    def rates(self, label: str) -> tuple[float, ...]:
        """The grid of `label`, before it is extended."""
        factor = self.shift.get(label, 1.0)
        return tuple(float(f"{factor * rate:.6g}") for rate in self.grid)

    def axes(self, label: str) -> tuple[Axis, ...]:
        """What is tuned for `label`: its rate first, then what `also` says."""
        more = self.also.get(label, {})
        rates = Axis(RATE, tuple(sorted(self.rates(label))), self.cap)
        return (rates, *(given.axis(key, self.cap) for key, given in more.items()))

    def of_trial(self, label: str, key: str, value: float) -> float:
        """What a trial of `label` takes for the value that a run would take."""
        given = self.also.get(label, {}).get(key)
        if given is None or not given.share or self.fraction is None:
            return value
        return min(1.0, float(f"{value / self.fraction:.6g}"))

    def rule(self, label: str) -> dict[str, Any]:
        """All that the search of `label` depends on, but for the configuration of its trials."""
        axes = [dataclasses.asdict(axis) for axis in self.axes(label)]
        shares = {key: self.of_trial(label, key, 1e-3) for key in self.also.get(label, {})}
        return {"axes": axes, "seeds": self.seeds, "metric": self.metric, "shares": shares}


class Sweep(Section):
    """A grid of runs that advance together: multiples of the theory's step, k, ζ and seeds.

    A run ends when ‖∇f‖ (with `squared`, its square) is at `tolerance` or below, when it diverges,
    or when rounds or bits are used up; with `prune` also as soon as it has sent as many bits as
    another run of its cell, of the same k, ζ and seed, needed: it cannot be the cell's best.
    """

    multiples: Annotated[tuple[pydantic.PositiveFloat, ...], pydantic.Field(min_length=1)] = tuple(
        2.0**power for power in range(12)
    )
    k: tuple[pydantic.PositiveInt, ...] = ()
    """Values of `compressor.k`, for the methods that have one."""
    zeta: tuple[pydantic.NonNegativeFloat, ...] = ()
    """Values of `zeta`, for the methods that have one."""
    labels: dict[str, dict[Literal["multiples", "k", "zeta"], tuple[float, ...]]] = {}
    """Other values for some labels."""
    seeds: tuple[int, ...] = ()
    """Those of the experiment, if none are given."""
    tolerance: pydantic.PositiveFloat
    squared: bool = False
    max_rounds: pydantic.PositiveInt
    max_bits: pydantic.PositiveInt | None = None
    """Uplink bits on the wire, per worker."""
    prune: bool = True
    indexed: str | None = None
    """The convention of a second column of paper bits: the one that counts indices."""
    regime: Literal["nonconvex", "pl", "convex"] = "nonconvex"
    """The theorem whose step is multiplied."""
    cap: pydantic.PositiveInt | None = None
    """With one every axis of two values or more is extended, to so many values at the most, until
    the best is in the interior, and then refined; K ends at 1 and d, ζ at 0."""

    @property
    def norm(self) -> float:
        """The tolerance on ‖∇f‖ itself."""
        return math.sqrt(self.tolerance) if self.squared else self.tolerance

    def axis(self, name: Literal["multiples", "k", "zeta"], label: str) -> tuple[float, ...]:
        """The values of `label` along an axis."""
        values: tuple[float, ...] = getattr(self, name)
        return self.labels.get(label, {}).get(name, values)

    def rule(self) -> dict[str, Any]:
        """All that the sweep depends on, but for the configuration of its runs."""
        content = self.model_dump()
        if self.cap is None:  # as it was before there were caps, so that sweeps are kept
            del content["cap"]
        return content

    @pydantic.model_validator(mode="after")
    def _room(self) -> Sweep:
        if self.cap is None:
            return self
        axes = [("multiples", self.multiples), ("k", self.k), ("zeta", self.zeta)]
        axes += [
            (f"labels.{label}.{name}", v)
            for label, own in self.labels.items()
            for name, v in own.items()
        ]
        for name, values in axes:
            if len(values) > 1 and sum(value > 0 for value in values) < 2:
                raise ValueError(f"{name}: with a cap two positive values at least")
            if len(values) > 1 and self.cap < len(values) + REFINED:
                least = len(values) + REFINED
                raise ValueError(f"cap: {least} at least, for {name} and {REFINED} to refine it")
        return self
