"""Rounds to a tolerance against α or τ: the figure kind `rounds_by`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.ticker as mticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.runs import RunsFigure, handle, legend, quantity
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run

_LABEL = 0.1
"""The label of a tick takes up this share of its value on a logarithmic axis."""


@figure_kinds.register("rounds_by")
@dataclass(frozen=True, kw_only=True)
class RoundsByFigure(RunsFigure):
    """Rounds until a column falls to a value, against α or τ, beside what the theorem guarantees.

    Markers are measured. A dot is the round at which the transient part of the bound on f − f*
    reaches the gap that the run had at its marker. With `panels` a panel for each value of that
    setting.
    """

    along: str = "theory.tau"
    """The setting on the x axis: a dotted key of the run's configuration or of ``theory``."""
    column: str = "grad_norm"
    """A column of histories, or ``gap``."""
    below: float
    """The value that the column falls to."""
    panels: str = ""
    """A dotted key, as `along`."""
    axis: str = "τ"
    """The label of the x axis."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.looks(results)
        runs = [r for r in self.runs(results) if r.setting(self.along) is not None]
        values = list(dict.fromkeys(str(r.setting(self.panels)) for r in runs)) or [""]
        figure = Figure(figsize=(2.7 * len(values) + 2.3, 3.0))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        for axis, value in zip(axes, values, strict=True):
            mine = [r for r in runs if str(r.setting(self.panels)) == value]
            for label in dict.fromkeys(run.label for run in mine):
                self._line(axis, [run for run in mine if run.label == label], looks[label])
            whole = self.along.endswith("tau")
            axis.set(yscale="log", xlabel=self.axis, xscale="symlog" if whole else "log")
            axis.set_title(value if self.panels else "")
            ticks = _apart(sorted({float(r.setting(self.along)) for r in mine}))
            axis.xaxis.set_major_locator(mticker.FixedLocator(ticks))
            axis.xaxis.set_major_formatter("{x:.3g}")
            axis.xaxis.set_minor_locator(mticker.NullLocator())
        axes[0].set_ylabel(f"rounds to {quantity(self.column)} ≤ {self.below:g}")
        firsts = {run.label: run for run in reversed(runs)}
        handles = [handle(run, looks[k], linestyle="-") for k, run in reversed(firsts.items())]
        legend(figure, handles)
        return figure, [
            "Markers: measured, at the theory's own step of each run.",
            "Dots: where the transient part of the bound reaches the gap that the marker has.",
        ]

    def _line(self, axis: Axes, runs: Sequence[Run], look: style.Look) -> None:
        ordered = sorted(runs, key=lambda r: float(r.setting(self.along)))
        points = [
            (float(r.setting(self.along)), asynchrony.rounds_until(r, self.column, self.below), r)
            for r in ordered
        ]
        met = [(v, k, r) for v, k, r in points if math.isfinite(k)]
        line: dict[str, Any] = {"color": look.colour, "linewidth": 1.3}
        xs = [v for v, _, _ in met]
        axis.plot(xs, [k for _, k, _ in met], marker=look.marker, markersize=4.5, **line)
        theory = [asynchrony.guaranteed(r, float(r.gaps[r.steps == k][0])) for _, k, r in met]
        dotted: dict[str, Any] = {"linestyle": style.BOUND_LINE, "linewidth": 0.9, "marker": "."}
        axis.plot(xs, theory, color=look.colour, **dotted)


def _apart(values: Sequence[float]) -> list[float]:
    """The values whose labels do not overlap on a logarithmic axis, from the smallest on."""
    kept: list[float] = []
    for value in values:
        if not kept or value - kept[-1] > _LABEL * value:
            kept.append(value)
    return kept
