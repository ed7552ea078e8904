"""How fast gradients fall with the horizon: mean ‖∇f‖² of runs of T rounds, and its slope in T."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import FigureSpec, kinds
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.statistics import Estimate


def averages(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run: label, seed, horizon T and the mean of ‖∇f(x_t)‖² over its logged t >= 1.

    That mean is what theorems on E‖∇f(x_τ)‖² with τ drawn evenly from the rounds are about. NaN
    where the run diverged.
    """
    rows = []
    for (label, seed, _), run in frame.groupby(["label", "seed", "run_id"]):
        measured = run.loc[run["step"] > 0, "grad_norm"].dropna()
        failed = (run["outcome"] == "diverged").any() or measured.empty
        value = np.nan if failed else float((measured**2).mean())
        rows.append({"label": label, "seed": seed, "horizon": run["step"].max(), "value": value})
    return pd.DataFrame(rows, columns=["label", "seed", "horizon", "value"])


def slope(table: pd.DataFrame) -> Estimate:
    """The log-log slope of `value` on `horizon`, fitted in each seed; of one label's `averages`."""
    fits = [
        statistics.loglog_slope(part["horizon"].to_numpy(), part["value"].to_numpy()).value
        for _, part in table.dropna(subset="value").groupby("seed")
        if part["horizon"].nunique() >= 3
    ]
    return statistics.mean_interval(fits)


@kinds.register("rate")
@dataclass(frozen=True, kw_only=True)
class RateFigure(FigureSpec):
    """Mean ‖∇f‖² against the horizon T, log-log: a method's medians, ranges and fitted slope."""

    methods: tuple[str, ...] = ()
    """Empty: all methods of the experiment."""
    expected: float = -0.5
    """The slope of the dashed line."""

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if not self.methods or g.label in self.methods)

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = style.looks(results.labels or [g.label for g in results.groups], results.colours)
        table = averages(results.frame)
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
        found = slope(mine)
        interval = f" [{_signed(found.low)}, {_signed(found.high)}]" if found.n > 1 else ""
        fitted = f": slope {_signed(found.value)}{interval}" if found.n else ""
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
        horizons = np.asarray(sorted(table["horizon"].unique()), dtype=float)
        level = float(table["value"].max()) * 1.3
        line = level * (horizons / horizons[0]) ** self.expected
        text = f"slope {_signed(self.expected)}"
        axis.plot(horizons, line, color="#444444", linestyle=(0, (2, 2)), linewidth=0.9, label=text)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
