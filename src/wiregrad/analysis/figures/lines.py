"""Lines of learning curves: medians over seeds with bands, axis scales and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.ticker as mticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.axes import Axis
from wiregrad.analysis.results import measure

INTERVAL_FROM = 10
"""Number of seeds from which a band is the 95 % interval of the median, and not the range."""
PRIMARY: dict[str, Any] = {
    "linewidth": 1.9,
    "markersize": 4.8,
    "alpha": 1.0,
    "markeredgewidth": 0.5,
}
SECONDARY: dict[str, Any] = {
    "linewidth": 1.0,
    "markersize": 3.6,
    "alpha": 0.85,
    "markeredgewidth": 0.15,
}

LONG = 10
"""From this number of points on a curve's first tenth may be cut off, and markers are spaced."""


@dataclass(frozen=True)
class Median:
    """The median curve of one method, indexed by x.

    `band` holds the values of all runs that did not diverge. The first tenth of a long run is left
    out, as it would take up most of a panel.
    """

    title: str
    primary: bool
    values: pd.Series
    band: pd.Series


def median_of(part: pd.DataFrame, title: str, *, x: Axis, y: Axis, primary: bool) -> Median:
    """The median over seeds of a curve that `on_axes` prepared."""
    values = part.groupby(x.column)[y.column].median()
    start = 0.1 * part["step"].max() if len(values) >= LONG else 0.0
    late = part[(part["step"] >= start) & (part["outcome"] != "diverged")]
    return Median(title, primary, values, late[y.column])


def on_axes(frame: pd.DataFrame, x: Axis, y: Axis) -> pd.DataFrame:
    """The measured rows of one method in the axes' units, on common x."""
    columns = [x.column, y.column]
    frame = frame.astype(dict.fromkeys(columns, "float64")).replace([np.inf, -np.inf], np.nan)
    frame = frame.dropna(subset=columns)
    if x.scale != "linear":
        frame = frame[frame[x.column] > 0]
    if y.scale != "linear":
        frame = frame[frame[y.column] > 0]
    frame = frame.assign(
        **{y.column: frame[y.column] * y.factor, x.column: frame[x.column] * x.factor}
    )
    return measure.on_common_x(frame, x.column, [y.column, "step"])


def draw_line(
    axis: Axes,
    part: pd.DataFrame,
    look: style.Look,
    *,
    x: Axis,
    y: Axis,
    primary: bool,
    spacing: tuple[float, float],
) -> None:
    """Draw one method's median line and band over seeds, and × where a run diverged.

    `part` comes from `on_axes`. `spacing`: offset and distance of markers, as shares of the panel's
    diagonal.
    """
    weight = PRIMARY if primary else SECONDARY
    seeds = part["seed"].nunique()
    sns.lineplot(
        data=part,
        x=x.column,
        y=y.column,
        ax=axis,
        estimator="median",
        errorbar=("ci", 95) if seeds >= INTERVAL_FROM else ("pi", 100),
        seed=0,
        color=look.colour,
        linestyle=look.linestyle,
        marker=look.marker,
        markevery=1 if part[x.column].nunique() < LONG else spacing,
        markeredgecolor="white",
        zorder=3.0 if primary else 2.2,
        err_kws={"alpha": 0.16 if primary else 0.08, "linewidth": 0},
        legend=False,
        **weight,
    )
    ends = part[part["outcome"] == "diverged"].groupby("run_id").tail(1)
    axis.plot(ends[x.column], ends[y.column], "x", color=look.colour, markersize=6, zorder=4)
    axis.set(xlabel=x.label, ylabel=y.label)


def handle(text: str, look: style.Look, *, primary: bool) -> Line2D:
    """The entry of a method in a legend."""
    weight = PRIMARY if primary else SECONDARY
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.linestyle,
        marker=look.marker,
        markeredgecolor="white",
        label=text,
        **weight,
    )


def set_scales(axis: Axes, x: Axis, y: Axis) -> None:
    """Linear, logarithmic or base-2 axes, with few ticks on the last.

    To be called after `draw_line`: on a logarithmic axis seaborn takes medians of logarithms.
    """
    if x.scale == "log2":
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_locator(mticker.LogLocator(base=2, numticks=9))
        axis.xaxis.set_minor_locator(mticker.NullLocator())
    else:
        axis.xaxis.set_major_locator(mticker.MaxNLocator(nbins=7, integer=True))
    if y.scale == "log":
        axis.set_yscale("log")


def focus(axis: Axes, x: Axis, y: Axis, medians: Sequence[Median]) -> None:
    """Set the limits so that the emphasised methods fill the panel; the rest is cut off."""
    if not medians:
        return
    everything = pd.concat([m.values for m in medians])
    bands = pd.concat([m.band for m in medians if m.primary])
    values = everything if bands.empty else bands
    # The best of all methods is always in view.
    low, high = values.min(), max(values.max(), everything.max() if y.scale == "linear" else 0.0)
    if y.scale != "linear":
        low = min(low, everything.min())
    if low == high:
        return
    if y.scale == "log":
        margin = (high / low) ** 0.06
        axis.set_ylim(low / margin, high * margin)
        _plain_log_ticks(axis)
    else:
        margin = 0.06 * (high - low)
        axis.set_ylim(low - margin, high + margin)
    if x.scale != "linear":
        bottom, top = axis.get_ylim()
        visible = everything[everything.between(bottom, top)].index
        axis.set_xlim(visible.min() / 1.6, visible.max() * 1.6)


def _plain_log_ticks(axis: Axes) -> None:
    """Label 1, 2 and 5 of each decade when an axis spans less than two decades, else decades."""
    low, high = axis.get_ylim()
    if high / low < 100:
        axis.yaxis.set_major_locator(mticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(mticker.FormatStrFormatter("%g"))
        axis.yaxis.set_minor_formatter(mticker.NullFormatter())
