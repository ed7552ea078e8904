"""Tables as data: one row a method, one column a quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pydantic

from wiregrad.analysis.results import aggregate, budget, measure, statistics
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.pairs import METRICS, MetricName
from wiregrad.analysis.results.statistics import Estimate
from wiregrad.core.validation import checked

if TYPE_CHECKING:
    from wiregrad.studies.schema import Paper

NOTHING = Estimate(math.nan, math.nan, math.nan, 0)
SPENT = {
    "rounds": "step",
    "uplink bits (paper)": "uplink_bits_paper",
    "uplink bits (wire)": "uplink_bits_wire",
    "downlink bits, one copy (wire)": "downlink_bits_wire",
    "bits of both links (paper)": "total_bits_paper",
    "bits of all links, broadcast once": "all_bits_once",
    "bits of all links, broadcast n times": "all_bits_each",
}
"""What is spent, and its column of the history or of what is derived of it."""
Spent = Literal[
    "rounds",
    "uplink bits (paper)",
    "uplink bits (wire)",
    "downlink bits, one copy (wire)",
    "bits of both links (paper)",
    "bits of all links, broadcast once",
    "bits of all links, broadcast n times",
]


Form = Literal["fixed", "bits", "count", "rank", "plain"]
Cell = Estimate | str


@dataclass(frozen=True)
class Column:
    """One quantity: an estimate for each label, which end is best, and how it is printed."""

    key: str
    heading: str
    best: Literal["min", "max"] | None
    form: Form
    cells: Mapping[str, Cell]


class Target(pydantic.BaseModel):
    """A level of a metric, in the metric's unit: what counts is what it cost to get there."""

    model_config = pydantic.ConfigDict(extra="forbid")

    metric: MetricName
    value: float

    def __str__(self) -> str:
        metric = METRICS[self.metric]
        return f"{metric.name} {self.value:g}" + (" %" if metric.unit == "points" else "")


class TableSpec(pydantic.BaseModel):
    """One entry of `tables:` in a paper's configuration."""

    model_config = pydantic.ConfigDict(extra="forbid")

    title: str
    caption: str
    experiment: str
    metrics: tuple[MetricName, ...] = ("train_loss", "accuracy")
    totals: tuple[Spent, ...] = ("uplink bits (wire)",)
    """What was spent at the end of the run."""
    target: Target | None = None
    spent: tuple[Spent, ...] = ("rounds", "uplink bits (paper)", "uplink bits (wire)")
    """What was spent until the target."""
    workers: int | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The experiments that it is made of."""
        return (self.experiment,)

    def gathered(self, results: Results, paper: str) -> Results:
        """The part of all results that it is made of."""
        return results.of(paper, *self.reads)

    def columns(self, mine: Results) -> list[Column]:
        """The numbers of the table; cells hold text where there is no number, and say why."""
        frame = mine.frame
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        found = [_final(frame, mine.groups, name) for name in self.metrics]
        found += [_total(frame, mine.groups, SPENT[what], what) for what in self.totals]
        if self.target is not None:
            found += [_to_target(frame, mine.groups, self.target, what) for what in self.spent]
        return found

    def notes(self, mine: Results) -> list[str]:
        """How to read the table, and what each run was given."""
        how = "Mean ± half-width of the 95 % interval over seeds; bold: best mean."
        return [how, *budget.lines(mine)]


def parse(paper: Paper) -> dict[str, TableSpec]:
    """The tables of a paper's configuration by id; ConfigError names the table and the key."""
    from wiregrad.analysis.figures.arena import ArenaTable  # they build on this module
    from wiregrad.analysis.tables.sweeps import SweepTable

    by_kind: dict[str, type[TableSpec]] = {"sweep": SweepTable, "arena": ArenaTable}
    specs: dict[str, TableSpec] = {}
    for name, entry in paper.tables.items():
        where = f"config/papers/{paper.paper}: tables.{name}"
        kind = SweepTable if "kind" in entry else TableSpec
        specs[name] = checked(by_kind.get(entry.get("kind", ""), kind), entry, where)
        for experiment in specs[name].reads:
            aggregate.known_experiment(paper, experiment, f"{where}.experiment")
    return specs


def _final(frame: pd.DataFrame, groups: Sequence[GroupResult], name: MetricName) -> Column:
    metric = METRICS[name]
    values = measure.per_run(frame, metric.column)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        mine = values[values["label"] == group.label]
        estimate = statistics.mean_interval(mine["value"] * metric.factor)
        cells[group.label] = estimate if estimate.n else ("diverged" if len(mine) else "—")
    heading = f"{metric.name} (%)" if metric.unit == "points" else metric.name
    return Column(name, heading, "max" if metric.rising else "min", "fixed", cells)


def _total(frame: pd.DataFrame, groups: Sequence[GroupResult], column: str, heading: str) -> Column:
    values = measure.per_run(frame, column)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        estimate = statistics.mean_interval(values[values["label"] == group.label]["value"])
        cells[group.label] = estimate if estimate.n else "—"
    return Column(f"total_{column}", f"{heading} in all", None, "bits", cells)


def _to_target(
    frame: pd.DataFrame, groups: Sequence[GroupResult], target: Target, what: str
) -> Column:
    metric, column = METRICS[target.metric], SPENT[what]
    level = target.value / metric.factor
    table = measure.first_crossing(frame, metric.column, level, column, rising=metric.rising)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        mine = table[table["label"] == group.label]
        missed = int(mine["censored"].sum())
        if missed:
            cells[group.label] = f"missed by {missed} of {len(mine)}"
        else:
            cells[group.label] = statistics.mean_interval(mine["value"]) if len(mine) else "—"
    unit = " %" if metric.unit == "points" else ""
    heading = f"{what} to {metric.name} {target.value:g}{unit}"
    return Column(
        f"to_target_{column}", heading, "min", "bits" if "bits" in what else "count", cells
    )


def numbers(spec: TableSpec, mine: Results) -> pd.DataFrame:
    """The table as numbers: value, low, high of each quantity; NaN where there is none."""
    rows = []
    found = spec.columns(mine)
    for group in mine.groups:
        row: dict[str, Any] = {
            "label": group.label,
            "title": group.title,
            "seeds": group.seeds,
            "runs": len(group.cards),
            "diverged": group.diverged,
            "not_run": group.reason or "",
            "lr": " ".join(f"{rate:g}" for rate in group.rates),
            "lr_tuned": group.tuned,
            "lr_at_grid_edge": group.at_edge,
        }
        for column in found:
            cell = column.cells[group.label]
            ends = cell if isinstance(cell, Estimate) else NOTHING
            row[column.key] = ends.value
            row[f"{column.key}_low"], row[f"{column.key}_high"] = ends.low, ends.high
        rows.append(row | {"scale": mine.scale, "revision": " ".join(group.revisions)})
    return pd.DataFrame(rows)
