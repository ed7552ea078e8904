"""Progress against the simulated clock: the figure kind `against_clock`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.runs import RunsFigure, legend
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results

_COLUMNS = {"metric_test": "test accuracy", "loss_train": "train loss", "grad_norm": "‖∇f‖"}


@figure_kinds.register("against_clock")
@dataclass(frozen=True, kw_only=True)
class AgainstClockFigure(RunsFigure):
    """A measured column against simulated seconds, applying messages on arrival or waiting for all.

    Solid: messages are applied on arrival; dashed: the server waits for all workers.
    """

    column: str = "metric_test"
    """A column of histories."""
    target: float | None = None
    """A level of the column that is marked."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks, figure = self.colours(results), Figure(figsize=(6.6, 3.1))
        axis, handles = figure.subplots(), {}
        for run in self.runs(results):
            at = asynchrony.clock(run)
            if at is None:
                continue
            waits = run.setting("runtime.apply") == "all"
            values = run.frame[self.column].to_numpy(dtype="float64")
            known = np.isfinite(values)
            dash = style.VARIANT_LINE if waits else "-"
            line: dict[str, Any] = {"color": looks[run.label].colour, "linestyle": dash}
            axis.plot(at[known], values[known], linewidth=1.3, **line)
            title = f"{run.group.title}{', waiting for all' if waits else ''}"
            handles[title] = Line2D([], [], **line, label=title)
        if self.target is not None:
            axis.axhline(self.target, linewidth=0.8, **style.GUIDE)
        axis.set(xlabel="simulated seconds", ylabel=_COLUMNS.get(self.column, self.column))
        legend(figure, list(handles.values()))
        return figure, []
