"""The grammar of config/: method labels, papers, experiments, tuning; and its JSON Schemas.

The models say what an entry is after `expansion`; the schemas say what a researcher writes: the
same, with `for_each`, `like` and `{placeholders}`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.core.errors import ConfigError
from wiregrad.studies import json_schemas
from wiregrad.studies.files import RATE
from wiregrad.studies.search import REFINED, Axis

LENGTHS = frozenset({"epochs", "samples", "steps"})
"""The keys of a budget of which `fraction` takes a part."""
LEAST_FRACTION = 0.25
"""Of a run, that a trial of a tuning to the interior lasts at least."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MethodEntry(_Section):
    """A label of config/methods.yaml: the method as it appears in figures, tables and claims."""

    title: str
    rule: str | None = None
    """The file in workflow/rules/methods/ that trains the label; the label itself if not given."""
    colour: str | None = None
    method: dict[str, Any]
    """The method and its hyper-parameters: `method` of a run, without `lr`."""
    plugin: str | None = None
    """A Python file that registers the method."""


class Rates(pydantic.BaseModel):
    """Learning rates of an experiment: `default`, and one for each label that differs."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    default: pydantic.PositiveFloat
    theory: Literal["exact", "conflicts"] | None = None
    """Rates are multiples of the step that theory gives: see `wiregrad.studies.theory_step`."""
    scaling: Literal["sqrt_workers", "inverse_sqrt_steps"] | None = None

    @pydantic.model_validator(mode="after")
    def _positive(self) -> Rates:
        for label, value in (self.model_extra or {}).items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError(f"{label}: a learning rate is a positive number (got {value!r})")
        return self

    def of(self, label: str, workers: int, steps: int | None = None) -> float:
        """The rate of `label` with n workers, in a run of so many steps if they are given.

        Raises ConfigError where it is scaled by the steps of a run that has none.
        """
        rate = float((self.model_extra or {}).get(label, self.default))
        if self.scaling == "inverse_sqrt_steps":
            if steps is None:
                raise ConfigError("lr.scaling: inverse_sqrt_steps needs budget.steps")
            return float(f"{rate / math.sqrt(steps):.6g}")
        return rate * math.sqrt(workers) if self.scaling == "sqrt_workers" else rate


class Range(_Section):
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


class Tuning(_Section):
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


class Sweep(_Section):
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


class Experiment(_Section):
    """A grid of runs over one task."""

    title: str
    problem: dict[str, Any]
    """The model, its data and its loss: `problem` of a run."""
    runtime: dict[str, Any]
    """What moves the payloads, and how many workers there are: `runtime` of a run."""
    budget: dict[str, Any]
    """When a run ends: epochs, steps, samples, bits or a target."""
    log: dict[str, Any] = {}
    """How often a row is written, and the convention of the paper's bits."""
    methods: Literal["all"] | tuple[str, ...]
    lr: Rates | None = None
    """Required without a sweep, which has steps of its own."""
    schedule: dict[str, Any] | None = None
    """How the rate changes over the epochs."""
    grid: dict[str, tuple[Any, ...]] = {}
    """Values of keys of the run (`runtime.workers`): every combination is a run."""
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1)]
    tuning: Tuning | None = None
    sweep: Sweep | None = None
    skip: str | None = None
    """Why the experiment is not run."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Experiment:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: each may stand once (got {list(self.seeds)})")
        if self.tuning is not None and set(self.tuning.seeds) & set(self.seeds):
            raise ValueError("tuning.seeds must be apart from seeds")
        if self.sweep is not None and self.tuning is not None:
            raise ValueError("sweep and tuning exclude each other")
        given = {key for key, value in self.budget.items() if value is not None}
        if self.tuning is not None and self.tuning.fraction is not None and not LENGTHS & given:
            known = ", ".join(sorted(LENGTHS))
            raise ValueError(f"tuning.budget.fraction: the run's budget has none of {known}")
        if self.lr is None and self.sweep is None:
            raise ValueError("lr: Field required")
        return self

    @property
    def keyed_by_label(self) -> dict[str, Collection[str]]:
        """The labels that have a value of their own, by the key under which it stands."""
        return {
            "lr": (self.lr and self.lr.model_extra) or {},
            "tuning.shift": self.tuning.shift if self.tuning else {},
            "sweep.labels": self.sweep.labels if self.sweep else {},
        }


class Paper(_Section):
    """A paper of config/papers/."""

    paper: str
    """The name of its folder or file."""
    title: str
    arxiv: str
    """Its number, or none."""
    convention: str
    """How the paper counts bits: a convention of `wiregrad.comm.accounting`."""
    experiments: dict[str, Experiment]
    figures: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    claims: tuple[dict[str, Any], ...] = ()


# --- JSON Schemas of the files as they are written ------------------------------------------------


def paper_json_schema() -> dict[str, Any]:
    """The schema of a paper's file, or of one of the files in its folder."""
    head = json_schemas.described(Paper)["properties"]
    properties = {name: head[name] for name in ("paper", "title", "arxiv", "convention")}
    definitions = json_schemas.sections(json_schemas.entry(Experiment))
    return json_schemas.document(
        "wiregrad paper",
        properties
        | {"label_sets": json_schemas.LABEL_SETS}
        | {name: {"$ref": f"#/$defs/{name}"} for name in definitions},
        definitions,
    )


def scale_json_schema() -> dict[str, Any]:
    """The schema of a scale: what it changes in the entries of each paper."""
    definitions = json_schemas.sections(json_schemas.entry(Experiment, complete=False))
    overrides = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/$defs/{name}"} for name in definitions},
    }
    papers = {"type": "object", "additionalProperties": overrides}
    properties = {"scale": {"type": "string"}, "papers": papers}
    return json_schemas.document("wiregrad scale", properties, definitions, ["scale"])


def methods_json_schema() -> dict[str, Any]:
    """The schema of methods.yaml: labels, and sets of labels."""
    labels = json_schemas.section(json_schemas.entry(MethodEntry), "labels")
    properties = {"label_sets": json_schemas.LABEL_SETS}
    schema = json_schemas.document("wiregrad methods", properties, {"labels": labels})
    return schema | {"additionalProperties": labels["additionalProperties"]}
