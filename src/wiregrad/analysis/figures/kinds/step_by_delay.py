"""Rounds to a tolerance against the step, a line a delay: the figure kind `step_by_delay`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures.runs import RunsFigure, legend, quantity
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results


@figure_kinds.register("step_by_delay")
@dataclass(frozen=True, kw_only=True)
class StepByDelayFigure(RunsFigure):
    """Rounds until a column falls to a value, against the step in multiples of T3's, a line a τ."""

    column: str = "grad_norm"
    """A column of histories, or ``gap``."""
    below: float
    """The value that the column falls to."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        groups = [g for g in self.shown(results) if g.cards]
        runs = self.runs(results)
        taus = sorted({int(run.card.theory["tau"]) for run in runs})
        shades = dict(zip(taus, np.linspace(0.15, 0.85, len(taus)), strict=True))
        colours = {tau: colormaps["viridis"](shade) for tau, shade in shades.items()}
        figure = Figure(figsize=(2.4 * len(groups) + 1.4, 2.9))
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            for tau in taus:
                points = sorted(
                    (r.card.theory["multiple"], asynchrony.rounds_until(r, self.column, self.below))
                    for r in runs
                    if r.label == group.label and r.card.theory["tau"] == tau
                )
                met = [(m, k) for m, k in points if math.isfinite(k)]
                missed = [m for m, k in points if not math.isfinite(k)]
                line: dict[str, Any] = {"color": colours[tau], "linewidth": 1.3}
                axis.plot(
                    *zip(*met, strict=True), marker="o", markersize=4, **line
                ) if met else None
                top = max((k for _, k in met), default=1.0)
                axis.plot(missed, [top] * len(missed), "x", color=colours[tau], markersize=5)
            axis.set(xscale="log", yscale="log", xlabel="step, multiples of T3's")
            axis.set_title(group.title)
        axes[0].set_ylabel(f"rounds to {quantity(self.column)} ≤ {self.below:g}")
        handles = [Line2D([], [], color=colours[t], marker="o", label=f"τ = {t}") for t in taus]
        legend(figure, handles)
        return figure, ["×: diverged, or never fell to the value."]
