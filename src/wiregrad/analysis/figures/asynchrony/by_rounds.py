"""Pictures by rounds: gaps to the minimum, and rounds to a tolerance against α, τ and the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.ticker as mticker
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.asynchrony.pictures import RunPicture, handle, legend
from wiregrad.analysis.figures.spec import kinds
from wiregrad.analysis.results import asynchrony as measured
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run

Axis = Literal["round", "uplink_paper", "uplink_wire"]
AXES: dict[Axis, tuple[str, str]] = {
    "round": ("step", "rounds"),
    "uplink_paper": ("uplink_bits_paper", "uplink bits per worker (the paper's books)"),
    "uplink_wire": ("uplink_bits_wire", "uplink bits per worker (on the wire)"),
}
ROUNDING = 1e-12
"""Gaps below this share of the first are rounding."""
_LABEL = 0.1
"""Share of a value that the label of a tick takes."""
_NAMES = {"grad_norm": "‖∇f‖", "gap": "gap"}


@kinds.register("gap")
@dataclass(frozen=True, kw_only=True)
class Gap(RunPicture):
    """(f − f*)/(f(x⁰) − f*) against rounds and bits, a line a run; dotted: the theorem's bound.

    With `panels` a panel for each value of that setting, against the first of `x`; `panel` says in
    its title what that is.
    """

    x: tuple[Axis, ...] = ("round", "uplink_paper")
    bound: bool = False
    panels: str = ""
    panel: str = "{}"

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
        found = measured.bounds(run) if self.bound and x == "round" else None
        if found is not None:
            dotted: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (1, 1.2))}
            axis.plot(run.steps, found[0], color=look.colour, **dotted)


@kinds.register("rounds_by")
@dataclass(frozen=True, kw_only=True)
class RoundsBy(RunPicture):
    """Rounds until `column` is at `below` against α or τ: markers measured, dots what T says.

    With `panels` a panel for each value of that setting. A dot is how long the transient
    part of the bound on f − f* takes to the same share of the first gap that the run had there.
    """

    along: str = "theory.tau"
    column: str = "grad_norm"
    below: float
    panels: str = ""
    axis: str = "τ"
    """What the axis says."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.looks(results)
        runs = [r for r in self.runs(results) if r.setting(self.along) is not None]
        values = list(dict.fromkeys(str(r.setting(self.panels)) for r in runs)) or [""]
        figure = Figure(figsize=(2.7 * len(values) + 2.3, 3.0))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        for axis, value in zip(axes, values, strict=True):
            mine = [r for r in runs if str(r.setting(self.panels)) == value]
            for label in dict.fromkeys(run.label for run in mine):
                self._line(axis, [run for run in mine if run.label == label], looks[label])
            whole = self.along.endswith("tau")
            axis.set(yscale="log", xlabel=self.axis, xscale="symlog" if whole else "log")
            axis.set_title(value if self.panels else "")
            ticks = _apart(sorted({float(r.setting(self.along)) for r in mine}))
            axis.xaxis.set_major_locator(mticker.FixedLocator(ticks))
            axis.xaxis.set_major_formatter("{x:.3g}")
            axis.xaxis.set_minor_locator(mticker.NullLocator())
        axes[0].set_ylabel(f"rounds to {_NAMES.get(self.column, self.column)} ≤ {self.below:g}")
        firsts = {run.label: run for run in reversed(runs)}
        handles = [handle(run, looks[k], linestyle="-") for k, run in reversed(firsts.items())]
        legend(figure, handles)
        return figure, [
            "Markers: measured, at the theory's own step of each run.",
            "Dots: when the transient part of the bound is as low as the gap was there.",
        ]

    def _line(self, axis: Axes, runs: Sequence[Run], look: style.Look) -> None:
        ordered = sorted(runs, key=lambda r: float(r.setting(self.along)))
        points = [
            (float(r.setting(self.along)), measured.rounds_until(r, self.column, self.below), r)
            for r in ordered
        ]
        met = [(v, k, r) for v, k, r in points if math.isfinite(k)]
        line: dict[str, Any] = {"color": look.colour, "linewidth": 1.3}
        xs = [v for v, _, _ in met]
        axis.plot(xs, [k for _, k, _ in met], marker=look.marker, markersize=4.5, **line)
        theory = [measured.guaranteed(r, float(r.gaps[r.steps == k][0])) for _, k, r in met]
        dotted: dict[str, Any] = {"linestyle": (0, (1, 1.2)), "linewidth": 0.9, "marker": "."}
        axis.plot(xs, theory, color=look.colour, **dotted)


def _apart(values: Sequence[float]) -> list[float]:
    """Those whose labels would not touch on a logarithmic axis, from below."""
    kept: list[float] = []
    for value in values:
        if not kept or value - kept[-1] > _LABEL * value:
            kept.append(value)
    return kept


@kinds.register("step_by_delay")
@dataclass(frozen=True, kw_only=True)
class StepByDelay(RunPicture):
    """Rounds until `column` is at `below` against the step in multiples of T3's: a line a τ."""

    column: str = "grad_norm"
    below: float

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
                    (r.card.theory["multiple"], measured.rounds_until(r, self.column, self.below))
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
        axes[0].set_ylabel(f"rounds to {_NAMES.get(self.column, self.column)} ≤ {self.below:g}")
        handles = [Line2D([], [], color=colours[t], marker="o", label=f"τ = {t}") for t in taus]
        legend(figure, handles)
        return figure, ["×: diverged, or did not get there."]
