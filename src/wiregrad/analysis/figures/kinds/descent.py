"""Gradient norms against bits at the best point of each sweep: the figure kind `descent`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.ticker as mticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodsFigure, figure_kinds
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.text import tick_bits

Spent = Literal[
    "uplink_paper", "downlink_paper", "total_paper", "uplink_wire", "total_wire", "round"
]
SPENT: dict[Spent, tuple[tuple[str, ...], str]] = {
    "uplink_paper": (("uplink_bits_paper",), "uplink bits per worker (values only)"),
    "downlink_paper": (("downlink_bits_paper",), "downlink bits, one copy (values only)"),
    "total_paper": (
        ("uplink_bits_paper", "downlink_bits_paper"),
        "uplink + downlink bits (values only)",
    ),
    "uplink_wire": (("uplink_bits_wire",), "uplink bits per worker (on the wire)"),
    "total_wire": (
        ("uplink_bits_wire", "downlink_bits_wire"),
        "uplink + downlink bits (on the wire)",
    ),
    "round": (("step",), "rounds"),
}
"""For each x the columns of the history that are added up, and the label of the axis."""

LINE: dict[str, Any] = {"linewidth": 1.5, "alpha": 0.95}
BACK: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.75}
BELOW = 1.7
"""The first line is thicker by this factor, so that it shows where another covers it."""


@figure_kinds.register("descent")
@dataclass(frozen=True, kw_only=True)
class DescentFigure(MethodsFigure):
    """‖∇f‖² against bits or rounds, of the runs at the best point of each sweep.

    A panel for each x, a line a run; its end is marked, and filled where it met the tolerance.
    """

    x: tuple[Spent, ...] = ("uplink_paper", "uplink_wire")
    emphasise: tuple[str, ...] = ()
    """Labels that are drawn strongly; empty: all."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        groups = [group for group in self.shown(results) if group.cards]
        groups.sort(key=lambda group: not self._primary(group))
        looks = self.looks(results)
        figure = Figure(figsize=(3.1 * len(self.x) + 2.3, 3.1))
        axes = figure.subplots(1, len(self.x), sharey=True, squeeze=False)[0]
        tolerance = _tolerance(groups)
        for axis, x in zip(axes, self.x, strict=True):
            for place, group in enumerate(groups):
                mine = results.frame[results.frame["label"] == group.label]
                primary = self._primary(group)
                _lines(
                    axis,
                    mine,
                    SPENT[x][0],
                    looks[group.label],
                    weight=(LINE if primary else BACK)
                    | {"zorder": (3 if primary else 2) + place / len(groups)}
                    | ({"linewidth": BELOW * LINE["linewidth"]} if place == 0 else {}),
                    tolerance=tolerance,
                )
            axis.set(xscale="log", yscale="log", xlabel=SPENT[x][1])
            axis.yaxis.set_minor_locator(mticker.NullLocator())
            _plain_ticks(axis, is_bits=x != "round")
            if tolerance:
                axis.axhline(tolerance**2, linewidth=0.8, **style.GUIDE)
        axes[0].set_ylabel("‖∇f(x)‖²")
        _limits(axes[0], results.frame, [group.label for group in groups])
        handles = [_handle(g, looks[g.label], primary=self._primary(g)) for g in groups]
        figure.legend(handles=handles, loc="outside right center", labelspacing=0.5)
        return figure, _notes(groups)

    def _primary(self, group: GroupResult) -> bool:
        return not self.emphasise or group.label in self.emphasise


def _lines(
    axis: Axes,
    frame: pd.DataFrame,
    columns: tuple[str, ...],
    look: style.Look,
    *,
    weight: Mapping[str, Any],
    tolerance: float | None,
) -> None:
    for _, run in frame.groupby("run_id", sort=True):
        known = run.dropna(subset="grad_norm").sort_values("step")
        spent = known[list(columns)].sum(axis=1).to_numpy(dtype="float64")
        square = known["grad_norm"].to_numpy(dtype="float64") ** 2
        inside = (spent > 0) & (square > 0) & np.isfinite(square)
        if not inside.any():
            continue
        axis.plot(
            spent[inside],
            square[inside],
            color=look.colour,
            linestyle=look.linestyle,
            **weight,
        )
        met = tolerance is not None and square[inside][-1] <= tolerance**2
        axis.plot(
            spent[inside][-1],
            square[inside][-1],
            look.marker,
            color=look.colour,
            markerfacecolor=look.colour if met else "white",
            markersize=5.5 if weight["zorder"] >= 3 else 4,
            zorder=5,
        )


def _plain_ticks(axis: Axes, *, is_bits: bool) -> None:
    """Ticks of a logarithmic x axis as 2 k, 5 k, …: as many as there is room for."""
    low, high = axis.get_xlim()
    span = high / low
    subs = (1.0, 2.0, 5.0) if span < 40 else (1.0, 3.0) if span < 400 else (1.0,)
    axis.xaxis.set_major_locator(mticker.LogLocator(subs=subs, numticks=20))
    if is_bits:
        axis.xaxis.set_major_formatter(lambda value, _: tick_bits(value))
    else:
        axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(mticker.NullLocator())


def _limits(axis: Axes, frame: pd.DataFrame, labels: list[str]) -> None:
    """Set the y limits: from below the smallest value to a little above the start of the runs."""
    mine = frame[frame["label"].isin(labels)]
    squares = mine["grad_norm"].dropna() ** 2
    squares = squares[(squares > 0) & np.isfinite(squares)]
    start = mine.loc[mine["step"] == 0, "grad_norm"].max() ** 2
    if len(squares) and np.isfinite(start):
        axis.set_ylim(squares.min() / 4, max(start, squares.min()) * 8)


def _tolerance(groups: list[GroupResult]) -> float | None:
    found = {group.sweep.tolerance for group in groups if group.sweep is not None}
    return found.pop() if len(found) == 1 else None


def _handle(group: GroupResult, look: style.Look, *, primary: bool) -> Line2D:
    weight = LINE if primary else BACK
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.linestyle,
        marker=look.marker,
        markersize=5 if primary else 4,
        label=group.title_and_point,
        **weight,
    )


def _notes(groups: list[GroupResult]) -> list[str]:
    lines = []
    if any(group.sweep is not None for group in groups):
        lines.append(
            "Each run at the point of its sweep with the fewest bits to the tolerance (dashed): "
            "K, ζ, step in multiples of the theory's."
        )
    missed = [g.title for g in groups if g.sweep and g.sweep.best and not g.sweep.best.reached]
    if missed:
        lines.append(f"Never met the tolerance, shown where ‖∇f‖ got lowest: {', '.join(missed)}.")
    return lines
