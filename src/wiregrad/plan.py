"""The plan of a scale: which runs the configuration asks for, and where each one's files go.

Torch is not imported here: the workflow and the analysis read plans.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.errors import ConfigError
from wiregrad.validation import checked, read_yaml

TUNED = "tuned"
"""Stands for the learning rate in a planned run whose group is tuned first."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MethodEntry(_Section):
    """A label of config/methods.yaml: the method as it appears in figures, tables and claims."""

    title: str
    rule: str | None = None
    colour: str | None = None
    method: dict[str, Any]
    plugin: str | None = None
    everywhere: bool = True
    """Whether `methods: all` includes it."""


class Rates(pydantic.BaseModel):
    """Learning rates of an experiment: `default`, and one for each label that differs."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    default: pydantic.PositiveFloat
    scaling: Literal["sqrt_workers"] | None = None

    @pydantic.model_validator(mode="after")
    def _positive(self) -> Rates:
        for label, value in (self.model_extra or {}).items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError(f"{label}: a learning rate is a positive number (got {value!r})")
        return self

    def of(self, label: str, workers: int) -> float:
        """The rate of `label` with n workers."""
        rate = float((self.model_extra or {}).get(label, self.default))
        return rate * math.sqrt(workers) if self.scaling == "sqrt_workers" else rate


class Tuning(_Section):
    """The same learning-rate grid for every method, on a validation split, with its own seeds."""

    grid: Annotated[tuple[pydantic.PositiveFloat, ...], pydantic.Field(min_length=2)]
    shift: dict[str, pydantic.PositiveFloat] = {}
    """Factor on the whole grid by label: as many points, elsewhere (SGD wants larger rates)."""
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1)]
    budget: dict[str, Any]
    metric: Literal["loss_valid", "metric_valid"] = "loss_valid"
    valid_fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.1

    def rates(self, label: str) -> tuple[float, ...]:
        """The grid of `label`."""
        factor = self.shift.get(label, 1.0)
        return tuple(float(f"{factor * rate:.6g}") for rate in self.grid)


class Experiment(_Section):
    """A grid of runs over one task."""

    title: str
    problem: dict[str, Any]
    runtime: dict[str, Any]
    budget: dict[str, Any]
    log: dict[str, Any] = {}
    methods: Literal["all"] | tuple[str, ...]
    lr: Rates
    schedule: dict[str, Any] | None = None
    grid: dict[str, tuple[Any, ...]] = {}
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1)]
    tuning: Tuning | None = None
    skip: str | None = None

    @pydantic.model_validator(mode="after")
    def _seeds_apart(self) -> Experiment:
        if self.tuning is not None and set(self.tuning.seeds) & set(self.seeds):
            raise ValueError("tuning.seeds must be apart from seeds")
        return self


class Paper(_Section):
    """A file of config/papers/."""

    paper: str
    title: str
    arxiv: str
    convention: str
    experiments: dict[str, Experiment]
    figures: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    claims: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class PlannedRun:
    """One run: its directory name and the configuration that goes to `RunConfig.parse`.

    `method.lr` is `TUNED` where the group's tuning decides it.
    """

    run_id: str
    config: dict[str, Any]
    seed: int
    workers: int


@dataclass(frozen=True)
class Group:
    """The runs of one label in one experiment: one job, one directory."""

    scale: str
    paper: str
    experiment: str
    label: str
    entry: MethodEntry
    runs: tuple[PlannedRun, ...]
    directory: Path
    tuning: Tuning | None
    tuning_runs: tuple[tuple[float, PlannedRun], ...]
    skip: str | None

    @property
    def title(self) -> str:
        """The label as figures print it."""
        return self.entry.title

    @property
    def manifest(self) -> Path:
        """group.json: what was run; written last."""
        return self.directory / "group.json"

    @property
    def tuning_file(self) -> Path:
        """tuning.json: scores of the grid and the rate that won."""
        return self.directory / "tuning.json"

    @property
    def labels(self) -> dict[str, str]:
        """For the run cards."""
        return {
            "scale": self.scale,
            "paper": self.paper,
            "experiment": self.experiment,
            "label": self.label,
        }

    def digest(self) -> str:
        """Changes when any planned run changes."""
        return _digest([run.config for run in self.runs] + [r.config for _, r in self.tuning_runs])


@dataclass(frozen=True)
class Plan:
    """Everything that a scale asks for."""

    scale: str
    results: Path
    papers: dict[str, Paper]
    methods: dict[str, MethodEntry]
    groups: tuple[Group, ...] = field(repr=False)

    @property
    def experiments(self) -> dict[tuple[str, str], Experiment]:
        """All experiments by (paper, experiment)."""
        return {(p, e): x for p, paper in self.papers.items() for e, x in paper.experiments.items()}

    def group(self, paper: str, experiment: str, label: str) -> Group:
        """One group; ConfigError says what there is."""
        found = [
            g for g in self.groups if (g.paper, g.experiment, g.label) == (paper, experiment, label)
        ]
        if not found:
            known = sorted({f"{g.paper}/{g.experiment}/{g.label}" for g in self.groups})
            raise ConfigError(
                f"no group {paper}/{experiment}/{label} at scale {self.scale}"
                f" (known: {', '.join(known)})"
            )
        return found[0]


def load_plan(
    scale: str,
    config_dir: str | Path = "config",
    papers: list[str] | tuple[str, ...] | None = None,
    results: str | Path = "results",
    extra_methods: Mapping[str, Mapping[str, Any]] | None = None,
) -> Plan:
    """Read methods.yaml, papers/*.yaml and scales/<scale>.yaml below `config_dir`.

    `extra_methods`: further labels, as methods.yaml holds them. Raises ConfigError naming the
    file, the key and what is allowed.
    """
    base = Path(config_dir)
    methods = _methods(base / "methods.yaml", extra_methods or {})
    overrides = _scale(base, scale)
    available = sorted(path.stem for path in (base / "papers").glob("*.yaml"))
    chosen = list(papers) if papers else available
    for name in [*chosen, *overrides]:
        if name not in available:
            raise ConfigError(
                f"{base / 'papers'}: no paper {name!r} (known: {', '.join(available)})"
            )
    loaded = {
        name: _paper(base / "papers" / f"{name}.yaml", overrides.get(name, {})) for name in chosen
    }
    root = Path(results) / scale
    groups = tuple(
        _group(scale, paper, experiment, label, methods, root)
        for paper in loaded.values()
        for experiment in paper.experiments
        for label in _labels(paper, experiment, methods)
    )
    return Plan(scale, Path(results), loaded, methods, groups)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings join, anything else is replaced."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _methods(path: Path, extra: Mapping[str, Mapping[str, Any]]) -> dict[str, MethodEntry]:
    entries = dict(read_yaml(path)) | dict(extra)
    return {
        label: checked(MethodEntry, entry, f"{path}: {label}") for label, entry in entries.items()
    }


def _scale(base: Path, scale: str) -> dict[str, Any]:
    known = sorted(path.stem for path in (base / "scales").glob("*.yaml"))
    if scale not in known:
        raise ConfigError(f"scale: {scale!r}, allowed: {', '.join(known)}")
    content = read_yaml(base / "scales" / f"{scale}.yaml")
    unknown = set(content) - {"scale", "papers"}
    if unknown or content.get("scale") != scale:
        what = f"unknown key {sorted(unknown)[0]!r}" if unknown else f"scale must be {scale!r}"
        raise ConfigError(f"{base / 'scales' / scale}.yaml: {what}")
    return dict(content.get("papers") or {})


def _paper(path: Path, override: Mapping[str, Any]) -> Paper:
    return checked(Paper, merge(read_yaml(path), override), str(path))


def _labels(paper: Paper, experiment: str, methods: Mapping[str, MethodEntry]) -> Iterator[str]:
    wanted = paper.experiments[experiment].methods
    labels = [k for k, e in methods.items() if e.everywhere] if wanted == "all" else list(wanted)
    for label in labels:
        if label not in methods:
            raise ConfigError(
                f"{paper.paper}: experiments.{experiment}.methods: unknown label {label!r}"
                f" (known: {', '.join(methods)})"
            )
        yield label


def _group(
    scale: str,
    paper: Paper,
    name: str,
    label: str,
    methods: Mapping[str, MethodEntry],
    root: Path,
) -> Group:
    experiment, entry = paper.experiments[name], methods[label]
    axes = experiment.grid
    runs = []
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        runs += [_run(paper, experiment, label, entry, point, seed) for seed in experiment.seeds]
    tuning = experiment.tuning
    trials: list[tuple[float, PlannedRun]] = []
    if tuning is not None:
        if axes:
            raise ConfigError(
                f"{paper.paper}: experiments.{name}: grid and tuning exclude each other"
            )
        trials = [
            (rate, _trial(paper, experiment, label, entry, rate, seed))
            for rate in tuning.rates(label)
            for seed in tuning.seeds
        ]
    directory = root / paper.paper / name / label
    return Group(
        scale,
        paper.paper,
        name,
        label,
        entry,
        tuple(runs),
        directory,
        tuning,
        tuple(trials),
        experiment.skip,
    )


def _run(
    paper: Paper,
    experiment: Experiment,
    label: str,
    entry: MethodEntry,
    point: Mapping[str, Any],
    seed: int,
) -> PlannedRun:
    config: dict[str, Any] = {
        "problem": dict(experiment.problem),
        "method": dict(entry.method),
        "runtime": dict(experiment.runtime),
        "budget": dict(experiment.budget),
        "log": {"convention": paper.convention} | experiment.log,
        "seed": seed,
    }
    if entry.plugin is not None:
        config["plugins"] = [entry.plugin]
    for key, value in point.items():
        _set(config, key, value)
    workers = int(config["runtime"].get("workers", 1))
    config["method"]["lr"] = TUNED if experiment.tuning else experiment.lr.of(label, workers)
    if experiment.schedule is not None:
        config["method"]["schedule"] = experiment.schedule
    return _planned(config)


def _trial(
    paper: Paper, experiment: Experiment, label: str, entry: MethodEntry, rate: float, seed: int
) -> PlannedRun:
    tuning = experiment.tuning
    assert tuning is not None
    config = copy.deepcopy(_run(paper, experiment, label, entry, {}, seed).config)
    config["method"]["lr"] = rate
    config["method"].pop("schedule", None)
    config["budget"] = dict(tuning.budget)
    config["problem"]["valid_fraction"] = tuning.valid_fraction
    return _planned(config)


def _planned(config: dict[str, Any]) -> PlannedRun:
    workers = int(config["runtime"].get("workers", 1))
    seed = int(config["seed"])
    return PlannedRun(f"n{workers}-s{seed}-{_digest(config)[:10]}", config, seed, workers)


def _set(config: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = config
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
