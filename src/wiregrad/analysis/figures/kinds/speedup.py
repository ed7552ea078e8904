"""Speed-up with the number of workers: the figure kind `speedup`."""

from __future__ import annotations

from dataclasses import dataclass, field

import matplotlib.ticker as mticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.axes import X_AXES, Y_AXES, YAxis
from wiregrad.analysis.figures.lines import draw_line, focus, median_of, on_axes, set_scales
from wiregrad.analysis.figures.spec import MethodFigure, figure_kinds
from wiregrad.analysis.results import measure, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.text import signed


@figure_kinds.register("speedup")
@dataclass(frozen=True, kw_only=True)
class SpeedupFigure(MethodFigure):
    """A metric against rounds for each number of workers n, and rounds to a target against n."""

    target: float
    """A level of `y`, in the unit of its column."""
    y: YAxis = "train_loss"
    paper_points: dict[int, float] = field(default_factory=dict)
    """The paper's rounds to the target for each n, drawn beside ours."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        frame = results.frame[results.frame["label"] == self.label]
        figure = Figure(figsize=(7.4, 3.1))
        left, right = figure.subplots(1, 2)
        self._losses(left, frame)
        return figure, self._iterations(right, frame)

    def _losses(self, axis: Axes, frame: pd.DataFrame) -> None:
        x, y = X_AXES["round"], Y_AXES[self.y]
        counts = sorted(frame["workers"].unique())
        colours = sns.color_palette("mako_r", len(counts) + 2).as_hex()[1:-1]
        medians = []
        for position, (n, colour) in enumerate(zip(counts, colours, strict=True)):
            part = on_axes(frame[frame["workers"] == n], x, y)
            look = style.Look(colour, "solid", style.MARKERS[position % len(style.MARKERS)])
            spacing = (0.02 + 0.04 * position, 0.17)
            draw_line(axis, part, look, x=x, y=y, primary=True, spacing=spacing)
            axis.get_lines()[-2].set_label(f"n = {n}")
            medians.append(median_of(part, f"n = {n}", x=x, y=y, primary=True))
        set_scales(axis, x, y)
        focus(axis, x, y, medians)
        axis.axhline(self.target * y.factor, linewidth=0.8, **style.GUIDE)
        axis.legend(loc="upper right", ncols=2)

    def _iterations(self, axis: Axes, frame: pd.DataFrame) -> list[str]:
        """Draw the log-log panel; return a note on the runs that missed the target."""
        y = Y_AXES[self.y]
        rising = self.y == "accuracy"
        table = measure.first_crossing(frame, y.column, self.target, "step", rising=rising)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        reached = table.dropna(subset="value")
        if reached["workers"].nunique() >= 2:
            self._ours(axis, reached)
        self._papers(axis)
        workers = sorted(set(table["workers"]) | set(self.paper_points))
        axis.set_xticks(workers, [str(n) for n in workers])
        axis.xaxis.set_minor_locator(mticker.NullLocator())
        axis.set(xlabel="workers n", ylabel=f"iterations to {y.label} {self.target:g}")
        if axis.get_legend_handles_labels()[0]:
            bottom, top = axis.get_ylim()
            axis.set_ylim(bottom, top * (top / bottom) ** 0.3)  # room for the legend
            axis.legend(loc="upper right")
        missed = table[table["censored"]]
        counts = ", ".join(str(n) for n in sorted(missed["workers"].unique()))
        note = f"Target missed by {len(missed)} of {len(table)} runs (n = {counts})."
        return [note] if len(missed) else []

    def _ours(self, axis: Axes, reached: pd.DataFrame) -> None:
        spread = reached.groupby("workers")["value"].agg(["median", "min", "max"])
        slope = statistics.mean_interval(measure.speedup_slopes(reached))
        interval = f" [{signed(slope.low)}, {signed(slope.high)}]" if slope.n > 1 else ""
        colour = style.COLOURS["vermillion"]
        axis.errorbar(
            spread.index,
            spread["median"],
            yerr=[spread["median"] - spread["min"], spread["max"] - spread["median"]],
            fmt="o",
            color=colour,
            markersize=5,
            capsize=2.5,
            elinewidth=1.0,
            zorder=3,
        )
        ns = np.asarray(spread.index, dtype=float)
        centre, level = np.exp(np.log(ns).mean()), np.exp(np.log(spread["median"]).mean())
        label = f"ours: slope {signed(slope.value)}{interval}"
        axis.plot(
            ns, level * (ns / centre) ** slope.value, color=colour, linewidth=1.4, label=label
        )
        axis.plot(
            ns,
            spread["median"].iloc[0] * (ns / ns[0]) ** -1.0,
            linewidth=0.9,
            **style.GUIDE,
            label="halves when n doubles: slope −1",
        )

    def _papers(self, axis: Axes) -> None:
        if len(self.paper_points) < 2:
            return
        ns = sorted(self.paper_points)
        values = [self.paper_points[n] for n in ns]
        slope = statistics.loglog_slope(ns, values).value
        axis.plot(
            ns,
            values,
            "D-",
            color=style.COLOURS["grey"],
            markerfacecolor="white",
            markersize=4.5,
            linewidth=0.8,
            label=f"paper: slope {signed(slope)}",
            zorder=2.5,
        )
