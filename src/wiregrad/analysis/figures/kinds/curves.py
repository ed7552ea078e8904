"""Learning curves: the figure kind `curves`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.axes import X_AXES, Y_AXES, Axis, XAxis, YAxis
from wiregrad.analysis.figures.lines import (
    Median,
    draw_line,
    focus,
    handle,
    median_of,
    on_axes,
    set_scales,
)
from wiregrad.analysis.figures.spec import MethodsFigure, figure_kinds
from wiregrad.analysis.results.aggregate import GroupResult, Results


@figure_kinds.register("curves")
@dataclass(frozen=True, kw_only=True)
class CurvesFigure(MethodsFigure):
    """Metrics against epochs, rounds or bits: a panel for each pair of x and y, a line a method.

    Each y is a row of panels; with a single x each y is a column. A line is the median over seeds,
    with a band of their range (from ten seeds on, of the 95 % interval).
    """

    x: tuple[XAxis, ...] = ("epoch",)
    y: tuple[YAxis, ...] = ("train_loss", "accuracy")
    emphasise: tuple[str, ...] = ()
    """Labels that are drawn strongly and decide the limits of the panels; empty: all."""
    workers: int | None = None
    """Only runs with this number of workers."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        frame = results.frame
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        groups = sorted(self.shown(results), key=lambda group: not self._primary(group))
        groups = [group for group in groups if group.cards]
        looks = self.looks(results)
        panels = [(X_AXES[x], Y_AXES[y]) for y in self.y for x in self.x]
        columns = len(self.y) if len(self.x) == 1 else len(self.x)
        rows = len(panels) // columns
        figure = Figure(figsize=(3.35 * columns + 2.0, 2.55 * rows + 0.65))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        notes: dict[str, None] = {}  # a dict keeps the order: panels of one y repeat a note
        for axis, (x, y) in zip(axes, panels, strict=True):
            outside = self._panel(axis, frame, groups, looks, x=x, y=y)
            if outside:
                notes[f"Outside the panel, with the final {y.label}: {', '.join(outside)}."] = None
        self._legend(figure, groups, looks)
        return figure, list(notes)

    def _primary(self, group: GroupResult) -> bool:
        return not self.emphasise or group.label in self.emphasise

    def _panel(
        self,
        axis: Axes,
        frame: pd.DataFrame,
        groups: Sequence[GroupResult],
        looks: dict[str, style.Look],
        *,
        x: Axis,
        y: Axis,
    ) -> list[str]:
        """Draw one panel; return the methods that lie outside it, with final values."""
        medians: list[Median] = []
        for position, group in enumerate(groups):
            primary = self._primary(group)
            part = on_axes(frame[frame["label"] == group.label], x, y)
            if part.empty:
                continue
            # Markers are staggered, so that curves that coincide can be told apart.
            spacing = (0.02 + 0.16 * position / len(groups), 0.17)
            draw_line(axis, part, looks[group.label], x=x, y=y, primary=primary, spacing=spacing)
            medians.append(median_of(part, group.title, x=x, y=y, primary=primary))
        set_scales(axis, x, y)
        focus(axis, x, y, medians)
        low, high = axis.get_ylim()
        return [
            f"{m.title} {m.values.iloc[-1]:.3g}"
            for m in medians
            if not m.values.between(low, high).any()
        ]

    def _legend(
        self, figure: Figure, groups: Sequence[GroupResult], looks: dict[str, style.Look]
    ) -> None:
        handles: list[Line2D] = []
        headings = []
        for primary, heading in ((True, "compared in the paper"), (False, "further methods")):
            members = [group for group in groups if self._primary(group) is primary]
            if members and self.emphasise:
                headings.append(len(handles))
                handles.append(Line2D([], [], linewidth=0, label=heading))
            handles += [handle(g.title, looks[g.label], primary=primary) for g in members]
        legend = figure.legend(handles=handles, loc="outside right center", labelspacing=0.55)
        for index in headings:
            legend.get_texts()[index].set(fontweight="bold", color=style.INK, x=-28)
