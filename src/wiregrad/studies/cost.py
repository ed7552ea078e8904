"""What the runs of a plan cost: rounds and core-hours, before anything is run.

Milliseconds of a round come from the run cards of the same task, where there are any, and else from
the table costs.yaml. Torch is not imported here.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import yaml

from wiregrad.core.validation import checked
from wiregrad.runs.record import CARD
from wiregrad.studies.plan import Group, Plan
from wiregrad.studies.search import REFINED
from wiregrad.studies.tuning_schema import Sweep

HOUR = 3.6e6
"""Milliseconds."""
_ONE_GRADIENT = ("asynchronous", "parameter_server")
"""Runtimes whose round is the gradient of one worker."""
_SIZES = ("name", "data", "size", "context", "trainable", "max_length", "batch", "dim")
"""Keys of a problem on which the time of a round depends."""


class Source(StrEnum):
    """Where the time of a round comes from."""

    CARDS = "run cards"
    TABLE = "table"
    GUESS = "guess"
    UNKNOWN = "unknown"


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    ms: pydantic.PositiveFloat
    workers: pydantic.PositiveInt | None = None
    batch: pydantic.PositiveInt | None = None
    guess: bool = False
    """Whether nobody has measured it."""

    @property
    def source(self) -> Source:
        """What an estimate by this entry rests on."""
        return Source.GUESS if self.guess else Source.TABLE


class Table(pydantic.BaseModel):
    """costs.yaml."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    ms: dict[str, _Entry]
    """Of a round, by problem."""
    samples: dict[str, pydantic.PositiveInt]
    """Of the training set, by data set."""
    sweeps: dict[str, pydantic.PositiveFloat]
    """Milliseconds of a run of a sweep, by data set."""

    @staticmethod
    def load() -> Table:
        """The table of the package."""
        text = resources.files("wiregrad.studies").joinpath("costs.yaml").read_text("utf-8")
        return checked(Table, yaml.safe_load(text), "costs.yaml")


@dataclass(frozen=True)
class Amount:
    """Rounds, as if no target ended a run, and milliseconds of one core; NaN where not known."""

    rounds: float = 0.0
    ms: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.rounds + other.rounds, self.ms + other.ms)

    def __mul__(self, times: float) -> Amount:
        return Amount(self.rounds * times, self.ms * times)


@dataclass
class Cost:
    """The cost of an experiment, or of several."""

    paper: str
    experiment: str
    runs: int = 0
    trials: int = 0
    """Of tunings and sweeps, where the first grid holds the best point."""
    most_trials: int = 0
    """The same at the most, where every axis grows to its cap."""
    amount: Amount = field(default_factory=Amount)
    """Of the runs and `trials`."""
    most: Amount = field(default_factory=Amount)
    """Of the runs and `most_trials`; without the growth of sweeps, which seldom use their caps."""
    sources: set[Source] = field(default_factory=set)

    def add(self, other: Cost) -> None:
        """Count another cost in."""
        self.runs += other.runs
        self.trials += other.trials
        self.most_trials += other.most_trials
        self.amount += other.amount
        self.most += other.most
        self.sources |= other.sources

    @property
    def hours(self) -> float:
        """Core-hours of the runs and of as many trials as a settled first grid takes."""
        return self.amount.ms / HOUR

    @property
    def most_hours(self) -> float:
        """Core-hours where every tuning grows to its cap."""
        return self.most.ms / HOUR


def costs(plan: Plan, cards: Iterable[Path]) -> list[Cost]:
    """The cost of every experiment of a plan that is run, in the plan's order.

    `cards`: folders whose run cards tell how long rounds took.
    """
    estimate = _Estimate(Table.load(), list(cards))
    found: dict[tuple[str, str], Cost] = {}
    for group in plan.groups:
        if group.skip is None:
            key = group.paper, group.experiment
            found.setdefault(key, Cost(*key)).add(estimate.of_group(group))
    return list(found.values())


def in_all(parts: Iterable[Cost], paper: str) -> Cost:
    """The sum of several costs, of one paper or of all."""
    total = Cost(paper, "")
    for part in parts:
        total.add(part)
    return total


@dataclass
class _Estimate:
    table: Table
    folders: list[Path]

    def of_group(self, group: Group) -> Cost:
        """Its runs, and its tuning or sweep."""
        cost = Cost(group.paper, group.experiment, runs=len(group.runs))
        for planned in group.runs:
            cost.amount += self._of_run(planned.config, group.label, cost.sources)
        cost.most = cost.amount
        if group.tuning is not None and group.trial_config is not None:
            each = self._of_run(group.trial_config, group.label, cost.sources)
            seeds = len(group.tuning.seeds)
            sizes = [len(a.grid) + (REFINED if a.grows else 0) for a in group.axes]
            cost.trials, cost.most_trials = math.prod(sizes) * seeds, group.most_trials
            cost.amount += each * cost.trials
            cost.most += each * cost.most_trials
        if group.sweep is not None:
            cost.trials, cost.most_trials = _swept(group, group.sweep)
            data = str(group.runs[0].config["problem"].get("data"))
            ms = self.table.sweeps.get(data, self.table.sweeps["other"])
            cost.amount += Amount(0, ms * cost.trials)
            cost.most += Amount(0, ms * cost.trials)
            cost.sources.add(Source.GUESS)
        return cost

    def _of_run(self, config: Mapping[str, Any], label: str, sources: set[Source]) -> Amount:
        rounds = self._rounds(config)
        ms, source = self._ms(config, label)
        sources.add(Source.UNKNOWN if math.isnan(rounds) else source)
        return Amount(rounds, rounds * ms)

    def _rounds(self, config: Mapping[str, Any]) -> float:
        """Rounds of the runtime at the most; NaN where the budget does not say."""
        budget, problem, runtime = config["budget"], config["problem"], config["runtime"]
        workers = int(runtime.get("workers", 1))
        each = workers if runtime.get("name") in _ONE_GRADIENT else 1
        batch = problem.get("batch", "full")
        if budget.get("steps") is not None:
            return float(budget["steps"])
        if batch == "full":  # an epoch is a round
            return float(budget["epochs"]) * each if budget.get("epochs") else math.nan
        per_round = workers * int(batch)
        if budget.get("samples") is not None:
            return float(budget["samples"]) * each / per_round
        samples = self._samples(problem)
        if budget.get("epochs") is None or samples is None:
            return math.nan
        return max(1.0, float(budget["epochs"]) * samples * each / per_round)

    def _samples(self, problem: Mapping[str, Any]) -> float | None:
        """Samples to train on; None where the data set is not in the table."""
        named = str(problem.get("data")).split("|")
        sizes = [self.table.samples[name] for name in named if name in self.table.samples]
        limit = problem.get("train_limit")
        if not sizes:
            return limit
        size = sizes[0] if limit is None else min(limit, sizes[0])
        return size * (1 - float(problem.get("valid_fraction", 0.0)))

    def _ms(self, config: Mapping[str, Any], label: str) -> tuple[float, Source]:
        """Milliseconds of a round, by the label's own runs first."""
        task = _task(config)
        for found in (self._measured.get((task, label)), self._measured.get((task, None))):
            if found:
                return statistics.median(found), Source.CARDS
        entry = self.table.ms.get(config["problem"]["name"])
        if entry is None:
            return math.nan, Source.UNKNOWN
        batch, workers = config["problem"].get("batch"), config["runtime"].get("workers", 1)
        if entry.workers is None or entry.batch is None or not isinstance(batch, int):
            return entry.ms, entry.source
        one = config["runtime"].get("name") in _ONE_GRADIENT
        gradients = batch * (1 if one else workers)
        return entry.ms * gradients / (entry.workers * entry.batch), entry.source

    @cached_property
    def _measured(self) -> dict[tuple[str, str | None], list[float]]:
        """Milliseconds of a round by task and label, and by task alone."""
        found: dict[tuple[str, str | None], list[float]] = defaultdict(list)
        for card in _cards(self.folders):
            if card["steps"] > 0:
                ms = 1000 * card["wall_seconds"] / card["steps"]
                task = _task(card["config"])
                found[task, card["labels"].get("label")].append(ms)
                found[task, None].append(ms)
        return found


def _cards(folders: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The run cards below some folders; a file that is none is passed over."""
    for folder in folders:
        for path in sorted(folder.rglob(CARD)):
            try:
                card = json.loads(path.read_text(encoding="utf-8"))
                if {"config", "steps", "wall_seconds", "labels"} <= card.keys():
                    yield card
            except (OSError, ValueError, AttributeError):
                continue


def _task(config: Mapping[str, Any]) -> str:
    """What the time of a round depends on, but for the method."""
    problem, runtime = config["problem"], config["runtime"]
    parts = [problem.get(key) for key in _SIZES]
    return json.dumps([*parts, runtime.get("name", "simulated"), runtime.get("workers", 1)])


def _swept(group: Group, sweep: Sweep) -> tuple[int, int]:
    """Runs of a sweep where the first grid holds the best point, and at the most."""
    method = group.runs[0].config["method"]
    compressor = method.get("compressor") or (method.get("compressors") or [{}])[-1]
    lengths = [len(sweep.axis("multiples", group.label))]
    if isinstance(compressor, Mapping) and "k" in compressor:
        lengths.append(len(sweep.axis("k", group.label)))
    if "zeta" in method:
        lengths.append(len(sweep.axis("zeta", group.label)))
    lengths = [length for length in lengths if length]
    cap, seeds = sweep.cap, len(sweep.seeds or {run.seed for run in group.runs})

    def product(grown: Callable[[int], int]) -> int:
        return seeds * math.prod(n if cap is None or n == 1 else grown(n) for n in lengths)

    return product(lambda n: n + REFINED), product(lambda _: cap or 1)
