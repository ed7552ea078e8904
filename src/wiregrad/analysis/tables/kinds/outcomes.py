"""How runs ended and what they spent: the table kind `outcomes`, which is the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pydantic

from wiregrad.analysis.results import budget, measure, statistics
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.metrics import METRICS, MetricName
from wiregrad.analysis.results.statistics import Estimate
from wiregrad.analysis.tables.spec import Column, Form, TableSpec, table_kinds

SPENT = {
    "rounds": "step",
    "uplink bits (paper)": "uplink_bits_paper",
    "uplink bits (wire)": "uplink_bits_wire",
    "downlink bits, one copy (wire)": "downlink_bits_wire",
    "bits of both links (paper)": "total_bits_paper",
    "bits of all links, broadcast once": "all_bits_once",
    "bits of all links, broadcast n times": "all_bits_each",
}
"""What runs spend, and its column of histories or of what is derived from them."""
Spent = Literal[
    "rounds",
    "uplink bits (paper)",
    "uplink bits (wire)",
    "downlink bits, one copy (wire)",
    "bits of both links (paper)",
    "bits of all links, broadcast once",
    "bits of all links, broadcast n times",
]


class Target(pydantic.BaseModel):
    """A level of a metric, in the metric's unit, that runs are to reach."""

    model_config = pydantic.ConfigDict(extra="forbid")

    metric: MetricName
    value: float

    def __str__(self) -> str:
        metric = METRICS[self.metric]
        return f"{metric.name} {self.value:g}" + (" %" if metric.unit == "points" else "")


@table_kinds.register("outcomes")
@dataclass(frozen=True, kw_only=True)
class OutcomesTable(TableSpec):
    """Final metrics, what runs spent in all, and what they spent until they reached a target."""

    metrics: tuple[MetricName, ...] = ("train_loss", "accuracy")
    totals: tuple[Spent, ...] = ("uplink bits (wire)",)
    """What is shown as spent at the end of the run."""
    target: Target | None = None
    spent: tuple[Spent, ...] = ("rounds", "uplink bits (paper)", "uplink bits (wire)")
    """What is shown as spent until the target."""
    workers: int | None = None
    """Only runs with this number of workers."""

    def columns(self, mine: Results) -> list[Column]:
        """See TableSpec."""
        frame = mine.frame
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        found = [_final(frame, mine.groups, name) for name in self.metrics]
        found += [_total(frame, mine.groups, SPENT[what], what) for what in self.totals]
        if self.target is not None:
            found += [_to_target(frame, mine.groups, self.target, what) for what in self.spent]
        return found

    def notes(self, mine: Results) -> list[str]:
        """See TableSpec."""
        how = "Mean ± half-width of the 95 % interval over seeds; bold: best mean."
        return [how, *budget.lines(mine)]


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
    form: Form = "bits" if "bits" in what else "count"
    return Column(f"to_target_{column}", f"{what} to {target}", "min", form, cells)
