"""All methods on several tasks: final metrics, costs to a target, and the ranks of both.

A method's rank on a task is that of its mean over seeds, the best being 1 and ties sharing their
mean rank; a run that diverged, or never reached the target, is worse than any that did not, and so
is a method of which every rate diverged. Tasks
are the blocks of Friedman's test and of Nemenyi's after it (Demšar, JMLR 7, 2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import FigureSpec, kinds
from wiregrad.analysis.results import budget, measure, statistics
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.pairs import METRICS, MetricName
from wiregrad.analysis.tables.spec import Cell, Column, TableSpec
from wiregrad.studies.files import NotRunKind

Value = Literal["final", "bits", "rounds"]
SPENT = {"bits": "total_bits_wire", "rounds": "step"}
HEADINGS = {
    "final": "final metric",
    "bits": "bits a worker sends and receives until the target",
    "rounds": "rounds until the target",
}
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Task:
    """What counts on a task: a metric, and a level of it in its unit."""

    metric: MetricName
    target: float


def scores(frame: pd.DataFrame, tasks: Mapping[str, Task], value: Value) -> pd.DataFrame:
    """One row a task, label and seed: `value` in its unit, and `score`, of which less is better.

    The score is infinite where a run diverged or never reached the target, `value` then NaN.
    """
    parts = [pd.DataFrame(columns=["label", "seed", "value", "task", "score"])]
    for name, task in tasks.items():
        metric, mine = METRICS[task.metric], frame[frame["experiment"] == name]
        if mine.empty:
            continue
        if value == "final":
            table = measure.per_run(mine, metric.column)
            table = table.assign(value=table["value"] * metric.factor)
            sign = -metric.sign
        else:
            level = task.target / metric.factor
            table = measure.first_crossing(
                mine, metric.column, level, SPENT[value], rising=metric.rising
            )
            sign = 1.0
        score = (sign * table["value"]).fillna(np.inf)
        parts.append(table[["label", "seed", "value"]].assign(task=name, score=score))
    found = parts[1:] or parts  # an empty frame would take the types from the others
    return pd.concat(found, ignore_index=True)


def ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Ranks from `scores`: a row a task, a column a label that has runs on every task."""
    means = table.pivot_table(
        index="task", columns="label", values="score", aggfunc="mean", sort=False
    )
    means = means.dropna(axis="columns")
    return means.rank(axis="columns", method="average")


def with_failures(results: Results) -> pd.DataFrame:
    """The histories, and a run that diverged for each group whose tuning left no rate to run."""
    failed = [g for g in results.groups if not g.cards and g.not_run is NotRunKind.DIVERGED]
    if not failed:
        return results.frame
    about = ("paper", "experiment", "label", "title")
    rows = [{name: getattr(group, name) for name in about} for group in failed]
    more = pd.DataFrame(rows).assign(
        workers=0, seed=0, run_id="tuning", outcome="diverged", step=0, diverged=True
    )
    return pd.concat([results.frame, more], ignore_index=True)


def merged(results: Results) -> tuple[GroupResult, ...]:
    """One group a label: that of all its experiments, but for those that are left out."""
    found: dict[str, GroupResult] = {}
    planned = [group for group in results.groups if group.planned]
    for group in planned or results.groups:
        known = found.get(group.label)
        if known is None:
            found[group.label] = group
            continue
        cards = known.cards + group.cards
        found[group.label] = replace(
            known,
            planned=known.planned + group.planned,
            reason=None if cards else known.reason,
            cards=cards,
            tuning=known.tuning or group.tuning,
            directory=None,
        )
    return tuple(found.values())


class ArenaTable(TableSpec):
    """`kind: arena`: a value of all methods on every task, and the mean of their ranks."""

    kind: Literal["arena"]
    experiment: str = ""
    experiments: dict[str, Task]
    value: Value = "final"

    @property
    def reads(self) -> tuple[str, ...]:
        """See TableSpec."""
        return tuple(self.experiments)

    def gathered(self, results: Results, paper: str) -> Results:
        """See TableSpec: a label's groups are one row."""
        mine = super().gathered(results, paper)
        return replace(mine, frame=with_failures(mine), groups=merged(mine))

    def columns(self, mine: Results) -> list[Column]:
        """See TableSpec."""
        table = scores(mine.frame, self.experiments, self.value)
        found = [self._column(name, mine, table) for name in self.experiments]
        return [*found, _mean_rank(mine, table)]

    def notes(self, mine: Results) -> list[str]:
        """See TableSpec."""
        what = HEADINGS[self.value]
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
    placed = ranks(table)
    cells: dict[str, Cell] = {
        group.label: statistics.mean_interval(placed[group.label]) if group.label in placed else "—"
        for group in mine.groups
    }
    return Column("mean_rank", "mean rank", "min", "rank", cells)


@kinds.register("ranks")
@dataclass(frozen=True, kw_only=True)
class RanksFigure(FigureSpec):
    """Critical-difference diagrams: mean ranks, and bars over methods that no test tells apart."""

    medians: ClassVar[bool] = False

    experiment: str = ""
    experiments: dict[str, Task]
    values: tuple[Value, ...] = ("final", "bits")

    @property
    def reads(self) -> tuple[str, ...]:
        """See FigureSpec."""
        return tuple(self.experiments)

    def gathered(self, results: Results, paper: str) -> Results:
        """See FigureSpec: a label's groups are one line."""
        mine = super().gathered(results, paper)
        return replace(mine, frame=with_failures(mine), groups=merged(mine))

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = style.looks(results.labels or [g.label for g in results.groups], results.colours)
        titles = {group.label: group.title for group in results.groups}
        notes = []
        placed = {v: ranks(scores(results.frame, self.experiments, v)) for v in self.values}
        height = max(0.85 + 0.085 * table.shape[1] for table in placed.values())
        figure = Figure(figsize=(7.4, height * len(placed) + 0.4))
        axes = figure.subplots(len(placed), 1, squeeze=False).ravel()
        for axis, (value, table) in zip(axes, placed.items(), strict=True):
            colours = {titles[label]: looks[label].colour for label in map(str, table)}
            notes.append(diagram(axis, table.rename(columns=titles), colours, HEADINGS[value]))
            left = [titles[g.label] for g in results.groups if g.cards and g.label not in table]
            if left:
                notes.append(f"Not on every task, so not ranked: {', '.join(left)}.")
        return figure, list(dict.fromkeys(notes))


def diagram(axis: Axes, placed: pd.DataFrame, colours: Mapping[str, str], heading: str) -> str:
    """Draw one diagram of ranks (tasks by titles); says what Friedman's test found."""
    import scikit_posthocs  # it imports statsmodels, which takes seconds

    axis.set_title(f"mean rank by {heading}")
    axis.grid(visible=False)
    tasks, methods = placed.shape
    if tasks < 2 or methods < 3:
        axis.set_axis_off()
        why = f"no test of {methods} methods on {tasks} tasks"
        axis.text(0.5, 0.5, why, ha="center", transform=axis.transAxes)
        return f"Ranks by {heading}: {why}."
    apart = scikit_posthocs.posthoc_nemenyi_friedman(placed.reset_index(drop=True))
    small: dict[str, Any] = {"fontsize": 6.5}
    scikit_posthocs.critical_difference_diagram(
        placed.mean(),
        apart,
        ax=axis,
        alpha=ALPHA,
        label_props=small,
        marker_props={"s": 9},
        elbow_props={"linewidth": 0.7},
        crossbar_props={"linewidth": 1.6, "color": "#444444"},
        color_palette=dict(colours),
    )
    p = float(scipy.stats.friedmanchisquare(*placed.T.to_numpy()).pvalue)
    return (
        f"Ranks by {heading}: Friedman's test over {tasks} tasks, p = {p:.2g}; a bar joins methods "
        f"that Nemenyi's test does not tell apart at {ALPHA:.0%}."
    )
