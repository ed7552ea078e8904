"""Learning curves: the axes, the lines and the figure kind `curves`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.ticker as mticker
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import FigureSpec, kinds
from wiregrad.analysis.results import measure, statistics
from wiregrad.analysis.results.aggregate import GroupResult, Results


@dataclass(frozen=True)
class Axis:
    """A quantity on an axis: `factor` times the history's column."""

    column: str
    label: str
    scale: Literal["linear", "log", "log2"] = "linear"
    factor: float = 1.0


XAxis = Literal[
    "epoch",
    "round",
    "bits_paper",
    "bits_wire",
    "downlink_bits_wire",
    "total_bits_wire",
    "total_bits_paper",
    "all_bits_once",
    "all_bits_each",
]
YAxis = Literal[
    "train_loss", "test_loss", "accuracy", "perplexity", "grad_norm", "compression_error"
]
X_AXES: dict[str, Axis] = {
    "epoch": Axis("epoch", "epochs"),
    "round": Axis("step", "rounds"),
    "bits_paper": Axis("uplink_bits_paper", "uplink bits per worker (paper's count)", "log2"),
    "bits_wire": Axis("uplink_bits_wire", "uplink bits per worker (on the wire)", "log2"),
    "downlink_bits_wire": Axis("downlink_bits_wire", "downlink bits, one copy (wire)", "log2"),
    "total_bits_wire": Axis("total_bits_wire", "uplink + downlink bits (on the wire)", "log2"),
    "total_bits_paper": Axis(
        "total_bits_paper", "uplink + downlink bits per worker (paper's count)", "log2"
    ),
    "all_bits_once": Axis("all_bits_once", "bits of all links, broadcast counted once", "log2"),
    "all_bits_each": Axis("all_bits_each", "bits of all links, broadcast counted n times", "log2"),
}
Y_AXES: dict[str, Axis] = {
    "train_loss": Axis("loss_train", "train loss", "log"),
    "test_loss": Axis("loss_test", "test loss", "log"),
    "accuracy": Axis("metric_test", "test accuracy (%)", factor=100.0),
    "perplexity": Axis("perplexity", "test perplexity", "log"),
    "grad_norm": Axis("grad_norm", "gradient norm ‖∇f(x)‖", "log"),
    "compression_error": Axis("compression_error", "relative compression error", "log"),
}

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
"""Logged points from which a curve's first tenth may be cut off, and not every point is marked."""


@kinds.register("curves")
@dataclass(frozen=True, kw_only=True)
class Curves(FigureSpec):
    """One panel for each pair of y (rows, or columns if there is one x) and x; a line a method."""

    x: tuple[XAxis, ...] = ("epoch",)
    y: tuple[YAxis, ...] = ("train_loss", "accuracy")
    methods: tuple[str, ...] = ()
    """Empty: all methods of the experiment."""
    emphasise: tuple[str, ...] = ()
    workers: int | None = None

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if not self.methods or g.label in self.methods)

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        frame = results.frame
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        groups = sorted(self.shown(results), key=lambda group: not self._primary(group))
        groups = [group for group in groups if group.cards]
        looks = style.looks(results.labels or [g.label for g in results.groups], results.colours)
        panels = [(X_AXES[x], Y_AXES[y]) for y in self.y for x in self.x]
        columns = len(self.y) if len(self.x) == 1 else len(self.x)
        rows = len(panels) // columns
        figure = Figure(figsize=(3.35 * columns + 2.0, 2.55 * rows + 0.65))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        notes: dict[str, None] = {}  # in order, each once: panels of one y say the same
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
        """Draw one panel; the methods whose curve lies outside it, with their final value."""
        medians: list[Median] = []
        for position, group in enumerate(groups):
            primary = self._primary(group)
            part = on_axes(frame[frame["label"] == group.label], x, y)
            if part.empty:
                continue
            # Markers sit at staggered places, so that they show apart where curves coincide.
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
            handles += [_handle(g.title, looks[g.label], primary) for g in members]
        legend = figure.legend(handles=handles, loc="outside right center", labelspacing=0.55)
        for index in headings:
            legend.get_texts()[index].set(fontweight="bold", color="#444444", x=-28)


@dataclass(frozen=True)
class Median:
    """The median curve of one method, indexed by x.

    `band` holds the values of all runs that did not diverge, but for the start of a long run: the
    first tenth, which would otherwise take most of a panel.
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
        errorbar=("ci", 95) if seeds >= statistics.BOOTSTRAP_FROM else ("pi", 100),
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


def _handle(text: str, look: style.Look, primary: bool) -> Line2D:
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
