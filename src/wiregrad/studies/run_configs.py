"""Configurations of the runs and of the trials of one label in one experiment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wiregrad.studies.files import RATE
from wiregrad.studies.schema import LENGTHS, Experiment, MethodEntry, Paper
from wiregrad.studies.tuning_schema import Tuning

TUNED = "tuned"
"""Stands for the learning rate in a planned run whose group is tuned or swept first."""


@dataclass(frozen=True)
class Cell:
    """One label in one experiment: makes the configurations of its runs."""

    paper: Paper
    experiment: Experiment
    label: str
    entry: MethodEntry

    def run(self, point: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """The configuration at one point of the experiment's grid."""
        experiment = self.experiment
        config: dict[str, Any] = {
            "problem": dict(experiment.problem),
            "method": dict(self.entry.method),
            "runtime": dict(experiment.runtime),
            "budget": dict(experiment.budget),
            "log": {"convention": self.paper.convention} | experiment.log,
            "seed": seed,
        }
        if self.entry.plugin is not None:
            config["plugins"] = [self.entry.plugin]
        config = copy.deepcopy(config)  # a key of the grid may lie deep inside
        for key, value in point.items():
            assign(config, key, value)
        workers = int(config["runtime"].get("workers", 1))
        chosen = config["method"].get("lr")  # by the grid
        config["method"]["lr"] = TUNED
        if experiment.lr is not None and not (experiment.tuning or experiment.sweep):
            steps = config["budget"].get("steps")
            rate = experiment.lr.of(self.label, workers, steps) if chosen is None else chosen
            multiple = {"theory": experiment.lr.theory, "multiple": rate}
            config["method"]["lr"] = multiple if experiment.lr.theory else rate
        if experiment.schedule is not None:
            config["method"]["schedule"] = experiment.schedule
        return config

    def trial(self, tuning: Tuning) -> dict[str, Any]:
        """The configuration that all trials of a tuning have in common.

        A trial whose budget is a fraction of the run's has the run's schedule, shrunk to it; any
        other has a constant rate.
        """
        config = self.run({}, tuning.seeds[0])
        assign(config, RATE, TUNED)
        schedule = config["method"].pop("schedule", None)
        if tuning.fraction is None:
            config["budget"] = dict(tuning.budget)
        else:
            config["budget"] = _part_of(config["budget"], tuning.fraction)
            if schedule is not None:
                config["method"]["schedule"] = _shrunk(schedule, tuning.fraction)
        if tuning.splits:
            config["problem"]["valid_fraction"] = tuning.valid_fraction
        return config


def _part_of(budget: Mapping[str, Any], fraction: float) -> dict[str, Any]:
    """This part of the length of a budget, and of its bits; its target is left out."""
    part: dict[str, Any] = {}
    for key, value in budget.items():
        if value is None or key not in LENGTHS | {"bits"}:
            continue
        part[key] = _scaled(value, fraction) if key == "epochs" else max(1, round(value * fraction))
    return part


def _shrunk(schedule: Mapping[str, Any], fraction: float) -> dict[str, Any]:
    """A schedule whose milestones come that much earlier."""
    milestones = [_scaled(epoch, fraction) for epoch in schedule.get("milestones", ())]
    return {**schedule, "milestones": milestones}


def _scaled(value: float, fraction: float) -> float:
    return float(f"{value * fraction:.6g}")


def asked_of_theory(config: Mapping[str, Any]) -> bool:
    """Whether a planned run's rate is a multiple of the theory's step."""
    return isinstance(config["method"].get("lr"), Mapping)


def assign(config: dict[str, Any], dotted: str, value: Any) -> None:
    """Set the key `a.b` of a nested mapping, in place."""
    *parents, last = dotted.split(".")
    node = config
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
