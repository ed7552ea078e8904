"""How fast gradients fall with the length of a run: the figure kind `rate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodsFigure, figure_kinds
from wiregrad.analysis.results import horizons
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.text import signed


@figure_kinds.register("rate")
@dataclass(frozen=True, kw_only=True)
class RateFigure(MethodsFigure):
    """Mean ‖∇f‖² of a run against its number of rounds T, log-log, with a fitted slope."""

    expected: float = -0.5
    """The slope of the dashed line."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.looks(results)
        table = horizons.averages(results.frame)
        figure = Figure(figsize=(6.6, 4.2))
        axis = figure.subplots()
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        for group in self.shown(results):
            mine = table[table["label"] == group.label]
            if not mine["value"].isna().all():
                self._line(axis, mine, group.title, looks[group.label])
        self._expected(axis, table)
        axis.set(xlabel="rounds of the run, T", ylabel="mean of ‖∇f(x)‖² over the run")
        bottom, top = axis.get_ylim()
        axis.set_ylim(bottom, top * (top / bottom) ** 0.35)  # room for the legend
        axis.legend(loc="upper right")
        return figure, ["Slopes are fitted in each seed; in brackets their 95 % interval."]

    def _line(self, axis: Axes, mine: pd.DataFrame, title: str, look: style.Look) -> None:
        found = horizons.slope(mine)
        interval = f" [{signed(found.low)}, {signed(found.high)}]" if found.n > 1 else ""
        fitted = f": slope {signed(found.value)}{interval}" if found.n else ""
        sns.lineplot(
            data=mine,
            x="horizon",
            y="value",
            ax=axis,
            estimator="median",
            errorbar=("pi", 100),
            color=look.colour,
            linestyle=look.linestyle,
            marker=look.marker,
            markersize=4.5,
            label=title + fitted,
        )

    def _expected(self, axis: Axes, table: pd.DataFrame) -> None:
        ends = np.asarray(sorted(table["horizon"].unique()), dtype=float)
        level = float(table["value"].max()) * 1.3
        line = level * (ends / ends[0]) ** self.expected
        text = f"slope {signed(self.expected)}"
        axis.plot(ends, line, linewidth=0.9, label=text, **style.GUIDE)
