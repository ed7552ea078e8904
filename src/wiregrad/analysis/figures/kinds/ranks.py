"""Mean ranks of all methods over several tasks: the figure kind `ranks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import FigureSpec, figure_kinds
from wiregrad.analysis.results import arena
from wiregrad.analysis.results.aggregate import Results

ALPHA = 0.05
"""Level of Nemenyi's test."""


@figure_kinds.register("ranks")
@dataclass(frozen=True, kw_only=True)
class RanksFigure(FigureSpec):
    """Mean ranks of methods over several tasks, with bars over those that no test tells apart."""

    medians: ClassVar[bool] = False

    experiment: str = ""
    experiments: dict[str, arena.RankedTask]
    """The tasks by experiment, each with its metric and target."""
    values: tuple[arena.Value, ...] = ("final", "bits")
    """What is ranked, a diagram each."""

    @property
    def reads(self) -> tuple[str, ...]:
        """See FigureSpec."""
        return tuple(self.experiments)

    def gathered(self, results: Results, paper: str) -> Results:
        """See FigureSpec: the groups of a label on all tasks are one."""
        return arena.joined(super().gathered(results, paper))

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.looks(results)
        titles = {group.label: group.title for group in results.groups}
        notes = []
        placed = {
            value: arena.ranks(arena.scores(results.frame, self.experiments, value))
            for value in self.values
        }
        height = max(0.85 + 0.085 * table.shape[1] for table in placed.values())
        figure = Figure(figsize=(7.4, height * len(placed) + 0.4))
        axes = figure.subplots(len(placed), 1, squeeze=False).ravel()
        for axis, (value, table) in zip(axes, placed.items(), strict=True):
            colours = {titles[label]: looks[label].colour for label in map(str, table)}
            titled = table.rename(columns=titles)
            notes.append(diagram(axis, titled, colours, arena.HEADINGS[value]))
            left = [titles[g.label] for g in results.groups if g.cards and g.label not in table]
            if left:
                notes.append(f"Not on every task, so not ranked: {', '.join(left)}.")
        return figure, list(dict.fromkeys(notes))


def diagram(axis: Axes, placed: pd.DataFrame, colours: Mapping[str, str], heading: str) -> str:
    """Draw one critical-difference diagram; return what Friedman's test found.

    `placed` holds ranks, one row a task and one column a method.
    """
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
    drawn = scikit_posthocs.critical_difference_diagram(
        placed.mean(),
        apart,
        ax=axis,
        alpha=ALPHA,
        label_props=small,
        marker_props={"s": 9},
        elbow_props={"linewidth": 0.7},
        crossbar_props={"linewidth": 1.6, "color": style.INK},
        color_palette=dict(colours),
    )
    for (bar,) in drawn["crossbars"]:  # its points come in the order of a set, which varies
        bar.set_xdata(sorted(bar.get_xdata()))
    p = float(scipy.stats.friedmanchisquare(*placed.T.to_numpy()).pvalue)
    return (
        f"Ranks by {heading}: Friedman's test over {tasks} tasks, p = {p:.2g}; a bar joins methods "
        f"that Nemenyi's test does not tell apart at {ALPHA:.0%}."
    )
