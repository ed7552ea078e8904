"""All methods on several tasks, with the mean of their ranks: the table kind `arena`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.results import arena, budget, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.metrics import METRICS
from wiregrad.analysis.tables.spec import Cell, Column, TableSpec, table_kinds


@table_kinds.register("arena")
@dataclass(frozen=True, kw_only=True)
class ArenaTable(TableSpec):
    """A final metric of all methods on several tasks, or its cost, with the mean of their ranks."""

    experiment: str = ""
    experiments: dict[str, arena.RankedTask]
    """The tasks by experiment, each with its metric and target."""
    value: arena.Value = "final"
    """The final metric, or the bits or rounds until the target."""

    @property
    def reads(self) -> tuple[str, ...]:
        """See TableSpec."""
        return tuple(self.experiments)

    def gathered(self, results: Results, paper: str) -> Results:
        """See TableSpec: the groups of a label on all tasks are one row."""
        return arena.joined(super().gathered(results, paper))

    def columns(self, mine: Results) -> list[Column]:
        """See TableSpec."""
        table = arena.scores(mine.frame, self.experiments, self.value)
        found = [self._column(name, mine, table) for name in self.experiments]
        return [*found, _mean_rank(mine, table)]

    def notes(self, mine: Results) -> list[str]:
        """See TableSpec."""
        what = arena.HEADINGS[self.value]
        how = (
            f"{what[0].upper()}{what[1:]}: mean ± half-width of the 95 % interval over seeds. Mean "
            "rank: over tasks, with its interval over tasks. Bold: best."
        )
        return [how, *budget.lines(mine)]

    def _column(self, name: str, mine: Results, table: pd.DataFrame) -> Column:
        task = self.experiments[name]
        metric = METRICS[task.metric]
        unit = " (%)" if metric.unit == "points" else ""
        part = table[table["task"] == name]
        failed = "diverged in" if self.value == "final" else "missed by"
        cells = {g.label: _cell(part[part["label"] == g.label], failed) for g in mine.groups}
        if self.value == "final":
            best: Literal["min", "max"] = "max" if metric.rising else "min"
            return Column(name, f"{name}: {metric.name}{unit}", best, "fixed", cells)
        heading = f"{name}: {self.value} to {metric.name}{unit} {task.target:g}"
        form: Literal["bits", "count"] = "bits" if self.value == "bits" else "count"
        return Column(name, heading, "min", form, cells)


def _cell(part: pd.DataFrame, failed: str) -> Cell:
    if part.empty:
        return "—"
    missed = int(np.isinf(part["score"]).sum())
    if missed:
        return f"{failed} {missed} of {len(part)}"
    return statistics.mean_interval(part["value"])


def _mean_rank(mine: Results, table: pd.DataFrame) -> Column:
    placed = arena.ranks(table)
    cells: dict[str, Cell] = {
        group.label: statistics.mean_interval(placed[group.label]) if group.label in placed else "—"
        for group in mine.groups
    }
    return Column("mean_rank", "mean rank", "min", "rank", cells)
