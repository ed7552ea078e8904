"""The plan of a scale: which runs the configuration asks for, and where each one's files go.

Torch is not imported here: the workflow and the analysis read plans.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import hint, unknown
from wiregrad.studies.expansion import ALL
from wiregrad.studies.papers import load_methods, load_papers
from wiregrad.studies.run_configs import Cell, assign
from wiregrad.studies.schema import Experiment, MethodEntry, Paper
from wiregrad.studies.search import Axis, Point
from wiregrad.studies.tuning_schema import Sweep, Tuning


@dataclass(frozen=True)
class PlannedRun:
    """One run: its directory name and the configuration that goes to `RunConfig.parse`.

    `method.lr` is `run_configs.TUNED` where the group's tuning or sweep decides it, and a mapping
    where it is a multiple of the theory's step (`wiregrad.studies.theory_step`).
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
    trial_config: dict[str, Any] | None = field(repr=False)
    """What the trials of the tuning have in common: a run of the tuning's budget."""
    sweep: Sweep | None
    skip: str | None

    def trial(self, settings: Mapping[str, float], seed: int) -> PlannedRun:
        """The trial of a tuning with these settings, by dotted key; none is listed beforehand.

        `settings` are those of a run: what is a share of a run's rounds is as many rounds here.
        Raises ConfigError where the group has no tuning.
        """
        if self.trial_config is None or self.tuning is None:
            raise ConfigError(f"{self.paper}/{self.experiment}: no tuning at scale {self.scale}")
        config = copy.deepcopy(self.trial_config) | {"seed": seed}
        for key, value in settings.items():
            assign(config, key, self.tuning.of_trial(self.label, key, value))
        return _planned(config)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What the tuning searches, the rate first."""
        return () if self.tuning is None else self.tuning.axes(self.label)

    @property
    def grid_trials(self) -> tuple[PlannedRun, ...]:
        """The trials of the grid before it is extended, those of every seed."""
        if self.tuning is None:
            return ()
        settings = map(self.settings_at, itertools.product(*(axis.grid for axis in self.axes)))
        return tuple(self.trial(each, seed) for each in settings for seed in self.tuning.seeds)

    def settings_at(self, point: Point) -> dict[str, float]:
        """The settings of a point of the tuning's axes, by dotted key of a run configuration."""
        pairs = zip(self.axes, point, strict=True)
        return {axis.name: int(value) if axis.whole else value for axis, value in pairs}

    @property
    def most_trials(self) -> int:
        """Trials that the tuning makes at the most."""
        if self.tuning is None:
            return 0
        each = [axis.cap if axis.grows and axis.cap else len(axis.grid) for axis in self.axes]
        return math.prod(each) * len(self.tuning.seeds)

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
        """tuning.json: the scores of what was tried, and what won."""
        return self.directory / "tuning.json"

    @property
    def sweep_file(self) -> Path:
        """sweep.parquet: how every run of the group's sweep ended."""
        return self.directory / "sweep.parquet"

    @property
    def best_file(self) -> Path:
        """sweep.json: the hyper-parameters that won the sweep."""
        return self.directory / "sweep.json"

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
        """Changes when a planned run changes, or the rule by which a tuning or sweep chooses.

        The trials that a tuning makes follow from its rule.
        """
        content: list[Any] = [run.config for run in self.runs]
        if self.sweep is not None:
            content.append(self.sweep.rule())
        elif self.tuning is not None:
            content += [self.trial_config, self.tuning.rule(self.label)]
        return _digest(content)


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
        wanted = f"{paper}/{experiment}/{label}"
        names = {f"{g.paper}/{g.experiment}/{g.label}": g for g in self.groups}
        if wanted not in names:
            raise ConfigError(f"no group {wanted} at scale {self.scale}{hint(wanted, names)}")
        return names[wanted]


def load_plan(
    scale: str,
    config_dir: str | Path = "config",
    papers: list[str] | tuple[str, ...] | None = None,
    results: str | Path = "results",
    extra_methods: Mapping[str, Mapping[str, Any]] | None = None,
) -> Plan:
    """Read methods.yaml, the papers and scales/<scale>.yaml below `config_dir`.

    `extra_methods`: further labels, as methods.yaml holds them; `methods: all` includes them.
    Raises ConfigError naming the file, the key and what is allowed.
    """
    base = Path(config_dir)
    methods, sets = load_methods(base, extra_methods or {})
    loaded = load_papers(base, scale, papers or (), methods, sets)
    root = Path(results) / scale
    groups = tuple(
        _group(scale, paper, experiment, label, methods[label], root)
        for paper in loaded.values()
        for experiment in paper.experiments
        for label in _labels(paper, experiment, methods, sets)
    )
    return Plan(scale, Path(results), loaded, methods, groups)


def _labels(
    paper: Paper,
    name: str,
    methods: Mapping[str, MethodEntry],
    sets: Mapping[str, list[str]],
) -> Collection[str]:
    """The labels of an experiment; ConfigError where it names one that is not known."""
    experiment = paper.experiments[name]
    wanted = sets[ALL] if experiment.methods == ALL else experiment.methods
    for key, labels in {"methods": wanted, **experiment.keyed_by_label}.items():
        for label in labels:
            if label not in methods:
                where = f"{paper.paper}: experiments.{name}.{key}"
                raise ConfigError(f"{where}: {unknown('label', label, methods)}")
    return wanted


def _group(
    scale: str, paper: Paper, name: str, label: str, entry: MethodEntry, root: Path
) -> Group:
    experiment = paper.experiments[name]
    axes, tuning = experiment.grid, experiment.tuning
    if axes and (tuning is not None or experiment.sweep is not None):
        other = "tuning" if experiment.sweep is None else "sweep"
        raise ConfigError(f"{paper.paper}: experiments.{name}: grid and {other} exclude each other")
    points = [dict(zip(axes, p, strict=True)) for p in itertools.product(*axes.values())]
    cell = Cell(paper, experiment, label, entry)
    return Group(
        scale=scale,
        paper=paper.paper,
        experiment=name,
        label=label,
        entry=entry,
        runs=tuple(_planned(cell.run(point, s)) for point in points for s in experiment.seeds),
        directory=root / paper.paper / name / label,
        tuning=tuning,
        trial_config=None if tuning is None else cell.trial(tuning),
        sweep=experiment.sweep,
        skip=experiment.skip,
    )


def _planned(config: dict[str, Any]) -> PlannedRun:
    workers = int(config["runtime"].get("workers", 1))
    seed = int(config["seed"])
    return PlannedRun(f"n{workers}-s{seed}-{_digest(config)[:10]}", config, seed, workers)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
