"""The grammar of config/: method labels, papers and experiments.

The models say what an entry is after `expansion`; `json_schemas` says what a researcher writes.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.core.errors import ConfigError
from wiregrad.studies.tuning_schema import Section, Sweep, Tuning

LENGTHS = frozenset({"epochs", "samples", "steps"})
"""The keys of a budget of which `fraction` takes a part."""


class MethodEntry(Section):
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


class Experiment(Section):
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


class Paper(Section):
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
