"""Who computed when: the figure kind `timeline`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import matplotlib.ticker as mticker
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodFigure, figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run

SEEN = 40
"""The largest number of gradients of a worker that a timeline shows."""


@figure_kinds.register("timeline")
@dataclass(frozen=True, kw_only=True)
class TimelineFigure(MethodFigure):
    """When each worker computed and when its gradients were applied, from the start of a run.

    A bar is a computation, a dot the application of its gradient.
    """

    medians: ClassVar[bool] = False

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        runs: dict[str, Run] = {}
        for run in asynchrony.runs(results, [self.label]):
            if run.card.staleness_sha256 is not None:
                runs.setdefault(str(run.setting("runtime.apply")), run)
        titles = {"each": "applied on arrival", "all": "waiting for all"}
        figure = Figure(figsize=(7.2, 0.9 + 1.7 * max(1, len(runs))))
        axes = figure.subplots(max(1, len(runs)), 1, sharex=True, squeeze=False)[:, 0]
        end = math.inf
        for axis, (apply, run) in zip(axes, sorted(runs.items(), reverse=True), strict=False):
            table = asynchrony.gradients(run)
            if table is None:
                continue
            n = run.card.config["runtime"]["workers"]
            first = table.groupby("worker").head(SEEN)
            end = min(end, float(first.groupby("worker")["applied"].max().min()))
            for worker in range(n):
                mine = first[first["worker"] == worker]
                spans = list(zip(mine["start"], mine["end"] - mine["start"], strict=True))
                shade = [style.COLOURS["blue"], style.COLOURS["sky"]]
                axis.broken_barh(spans, (worker - 0.35, 0.7), facecolors=shade, linewidth=0)
                dot: dict[str, Any] = {"color": style.COLOURS["vermillion"], "markersize": 2.5}
                axis.plot(mine["applied"], [worker] * len(mine), "o", **dot)
            axis.set(ylabel="worker", ylim=(n - 0.4, -0.6))
            axis.set_title(titles.get(apply, apply))
            axis.yaxis.set_major_locator(mticker.MaxNLocator(integer=True))
        if math.isfinite(end):
            axes[-1].set_xlim(0, end)
        axes[-1].set_xlabel("simulated seconds")
        return figure, ["Bars: a worker computes. Dots: the server applies its gradient."]
