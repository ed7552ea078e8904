"""Bits to the tolerance over k and ζ: the figure kind `heatmap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodFigure, figure_kinds
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.sweeps import BITS, Convention, Swept
from wiregrad.analysis.results.text import short_bits

COLOURS = "cividis_r"
"""Perceptually uniform and safe for colour-blind readers; light cells need few bits."""


@figure_kinds.register("heatmap")
@dataclass(frozen=True, kw_only=True)
class HeatmapFigure(MethodFigure):
    """Bits to the tolerance over k (columns) and ζ (rows), a panel for each convention of counting.

    Each cell is at its cheapest step. Cells that never met the tolerance are hatched, those whose
    every step diverged have a cross, and the best one has a frame.
    """

    label: str = "clag"
    conventions: tuple[Convention, ...] = ("paper", "wire")
    """Ways of counting bits, a panel each."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        (group,) = self.shown(results)
        sweep = group.sweep
        if sweep is None:
            raise ValueError(f"{self.experiment}/{self.label}: no sweep, so no heatmap")
        tables = {convention: _grid(sweep, convention) for convention in self.conventions}
        rows, columns = next(iter(tables.values()))[0].shape
        figure = Figure(
            figsize=(max(2.3, 0.42 * columns + 1.25) * len(tables) + 0.4, 0.27 * rows + 1.25)
        )
        axes = figure.subplots(1, len(tables), squeeze=False)[0]
        for axis, (convention, (bits, diverged)) in zip(axes, tables.items(), strict=True):
            _panel(axis, bits, diverged)
            axis.set_title(BITS[convention][1])
        axes[0].set_ylabel("trigger ζ")
        missed = int(tables[self.conventions[0]][0].isna().to_numpy().sum())
        return figure, _notes(sweep, missed)


def _grid(sweep: Swept, convention: Convention) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables, ζ down (0 at the bottom) and k across: bits, and whether every step diverged."""
    cells = sweep.cells(convention)
    bits = cells.pivot_table(index="zeta", columns="k", values="bits", dropna=False)
    lost = cells.pivot_table(index="zeta", columns="k", values="all_diverged", dropna=False)
    return bits.sort_index(ascending=False), lost.sort_index(ascending=False).astype(bool)


def _panel(axis: Axes, bits: pd.DataFrame, diverged: pd.DataFrame) -> None:
    values = bits.to_numpy(dtype="float64")
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xticks(range(bits.shape[1]), [f"{k:.0f}" for k in bits.columns])
    axis.set_yticks(range(bits.shape[0]), [f"{zeta:g}" for zeta in bits.index])
    axis.set_xlabel("K of Top-K")
    axis.set(xlim=(-0.5, bits.shape[1] - 0.5), ylim=(bits.shape[0] - 0.5, -0.5))
    for (row, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            _missed(axis, row, column, lost=bool(diverged.iat[row, column]))
    if not np.isfinite(values).any():
        return
    low, high = np.nanmin(values), np.nanmax(values)
    norm = LogNorm(low, max(high, 1.001 * low))
    colours = mpl.colormaps[COLOURS]
    axis.imshow(values, cmap=colours, norm=norm, aspect="auto", zorder=1)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = colours(float(norm(value)))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text: dict[str, Any] = {"color": "white" if dark else "#1a1a1a"}
            text["fontweight"] = "bold" if value == low else "normal"
            axis.text(
                column,
                row,
                short_bits(value).replace(" ", ""),
                ha="center",
                va="center",
                fontsize=6,
                zorder=3,
                **text,
            )
            if value == low:
                _frame(axis, row, column)


def _missed(axis: Axes, row: int, column: int, *, lost: bool) -> None:
    """A cell without a number: hatched, with a cross where every step diverged."""
    axis.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5),
            1,
            1,
            facecolor="#f3f3f3",
            edgecolor="#b5b5b5",
            hatch="////",
            linewidth=0,
            zorder=1.5,
        )
    )
    if lost:
        axis.text(column, row, "×", ha="center", va="center", fontsize=9, zorder=3)


def _frame(axis: Axes, row: int, column: int) -> None:
    axis.add_patch(
        Rectangle(
            (column - 0.46, row - 0.44),
            0.92,
            0.88,
            fill=False,
            edgecolor=style.COLOURS["vermillion"],
            linewidth=1.6,
            zorder=4,
        )
    )


def _notes(sweep: Swept, missed: int) -> list[str]:
    steps = sorted({f"{m:g}" for m in sweep.points["multiple"]}, key=float)
    lines = [
        (
            f"Uplink bits a worker until ‖∇f‖ ≤ {sweep.tolerance:g}, at the cheapest of "
            f"{len(steps)} steps ({steps[0]} to {steps[-1]} times the theory's); frame: the best "
            "cell. ζ = 0 is EF21, K = d is LAG."
        )
    ]
    if missed:
        lines.append(
            "Hatched: no step met the tolerance within the rounds allowed; ×: every step diverged."
        )
    return lines
