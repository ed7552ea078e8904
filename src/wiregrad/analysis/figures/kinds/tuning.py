"""Scores of the rates that were tried, a panel for each method: the figure kind `tuning`."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodsFigure, figure_kinds
from wiregrad.analysis.results.aggregate import Results
from wiregrad.studies.files import TuningResult

COLUMNS = 4
"""Panels in a row."""
_METRICS = {
    "loss_valid": "validation loss",
    "metric_valid": "validation accuracy",
    "loss_train": "train loss",
    "grad_norm": "‖∇f‖",
}


@figure_kinds.register("tuning")
@dataclass(frozen=True, kw_only=True)
class TuningFigure(MethodsFigure):
    """The score of every rate that was tried, a panel for each method.

    Dots are seeds, the line is their mean. The best rate has a ring, a hollow one where the tuning
    is not settled; a cross at the top is a rate with a diverged run.
    """

    medians: ClassVar[bool] = False

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        tuned = [(g, g.tuning) for g in self.shown(results) if g.tuning and g.tuning.points]
        if not tuned:
            return _untuned()
        looks = self.looks(results)
        rows, columns = math.ceil(len(tuned) / COLUMNS), min(COLUMNS, len(tuned))
        figure = Figure(figsize=(1.9 * columns + 0.6, 1.7 * rows + 0.4))
        panels = figure.subplots(rows, columns, squeeze=False)
        for axis, (group, tuning) in zip(panels.flat, tuned, strict=False):
            axis.set_title(textwrap.fill(group.title, 24), fontsize=6.5)
            _curve(axis, tuning, looks[group.label].colour)
        for axis in list(panels.flat)[len(tuned) :]:
            axis.set_axis_off()
        metrics = {_METRICS.get(tuning.metric, tuning.metric) for _, tuning in tuned}
        figure.supylabel(" / ".join(sorted(metrics)), fontsize=8)
        return figure, _notes([(group.title, tuning) for group, tuning in tuned])


def _untuned() -> tuple[Figure, list[str]]:
    """A line in place of the panels."""
    figure = Figure(figsize=(4.2, 0.6))
    axis = figure.subplots()
    axis.set_axis_off()
    text = "Nothing was tuned at this scale: rates are those of the configuration."
    axis.text(0, 0.5, text, fontsize=7, va="center", transform=axis.transAxes)
    return figure, []


def _curve(axis: Axes, tuning: TuningResult, colour: str) -> None:
    axis.set_xscale("log")
    known = [(p.settings["method.lr"], p.values, p.score) for p in tuning.curve]
    scored = [(rate, values, score) for rate, values, score in known if score is not None]
    if scored and min(score for *_, score in scored) > 0:
        axis.set_yscale("log")
    axis.plot([r for r, *_ in scored], [s for *_, s in scored], color=colour, linewidth=1.1)
    for rate, values, score in scored:
        seeds = [value for value in values if value is not None]
        axis.plot([rate] * len(seeds), seeds, ".", color=colour, markersize=3)
        if rate == tuning.best:
            face = colour if tuning.settled else "white"
            axis.plot([rate], [score], "o", color=colour, markerfacecolor=face, markersize=6)
    for rate in (rate for rate, _, score in known if score is None):
        top = axis.get_xaxis_transform()
        axis.plot([rate], [0.96], "x", color=style.INK, markersize=4, transform=top)
    axis.tick_params(which="both", labelsize=6)
    axis.set_xlabel("learning rate", fontsize=6.5)


def _notes(tuned: list[tuple[str, TuningResult]]) -> list[str]:
    most = max(len(tuning.grid) for _, tuning in tuned)
    lines = [
        (
            f"Up to {most} rates a method; dots: seeds, line: their mean, ring: the best rate, "
            "×: a run diverged."
        )
    ]
    open_ = [title for title, tuning in tuned if not tuning.settled]
    if open_:
        lines.append(f"Tuning not settled (hollow ring): {', '.join(open_)}.")
    return lines
