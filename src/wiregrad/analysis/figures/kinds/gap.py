"""Gaps to the minimum against rounds or bits: the figure kind `gap`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.runs import RunsFigure, handle, legend
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run

Axis = Literal["round", "uplink_paper", "uplink_wire"]
AXES: dict[Axis, tuple[str, str]] = {
    "round": ("step", "rounds"),
    "uplink_paper": ("uplink_bits_paper", "uplink bits per worker (paper's count)"),
    "uplink_wire": ("uplink_bits_wire", "uplink bits per worker (on the wire)"),
}
ROUNDING = 1e-12
"""Gaps below this share of that at x⁰ are rounding errors, and left out."""


@figure_kinds.register("gap")
@dataclass(frozen=True, kw_only=True)
class GapFigure(RunsFigure):
    """The gap f − f* as a share of that at x⁰, against rounds or bits, a line a run.

    A panel for each x; or, with `panels`, a panel for each value of that setting, against the first
    of `x`. Dotted: the bound of the theorem.
    """

    x: tuple[Axis, ...] = ("round", "uplink_paper")
    bound: bool = False
    """Whether the bound is drawn."""
    panels: str = ""
    """A dotted key of the run's configuration or of ``theory``."""
    panel: str = "{}"
    """The title of a panel, with its value in place of ``{}``."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks, runs = self.looks(results), self.runs(results)
        panels = self._panels(runs)
        width = 3.1 if len(panels) <= 2 else 2.3
        figure = Figure(figsize=(width * len(panels) + 2.3, 3.1))
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, x, shown) in zip(axes, panels, strict=True):
            for run in shown:
                self._line(axis, run, x, looks[run.label])
            axis.set(yscale="log", xlabel=AXES[x][1], xscale="linear" if x == "round" else "log")
            axis.set_title(title)
        axes[0].set_ylabel("(f(x) − f*) / (f(x⁰) − f*)")
        firsts = {run.label: run for run in reversed(runs)}
        legend(figure, [handle(run, looks[k], marker="") for k, run in reversed(firsts.items())])
        own = all(run.setting("theory.multiple") == 1 for run in runs)
        notes = ["Each run at the theory's own step."] if own else []
        notes += ["Dotted: the bound of the theorem, an expectation."] if self.bound else []
        return figure, notes

    def _panels(self, runs: Sequence[Run]) -> list[tuple[str, Axis, list[Run]]]:
        """Title, axis and runs of each panel."""
        if not self.panels:
            return [("", x, list(runs)) for x in self.x]
        values = dict.fromkeys(run.setting(self.panels) for run in runs)
        return [
            (
                self.panel.format(value),
                self.x[0],
                [run for run in runs if run.setting(self.panels) == value],
            )
            for value in values
        ]

    def _line(self, axis: Axes, run: Run, x: Axis, look: style.Look) -> None:
        spent = run.frame[AXES[x][0]].to_numpy(dtype="float64")
        inside = (run.gaps > ROUNDING) & (spent > 0 if x != "round" else spent >= 0)
        line: dict[str, Any] = {"color": look.colour, "linestyle": look.linestyle}
        axis.plot(spent[inside], run.gaps[inside], linewidth=1.3, **line)
        found = asynchrony.stale_bound(run) if self.bound and x == "round" else None
        if found is not None:
            dotted: dict[str, Any] = {"linewidth": 0.9, "linestyle": style.BOUND_LINE}
            axis.plot(run.steps, found[0], color=look.colour, **dotted)
