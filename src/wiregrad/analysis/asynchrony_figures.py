"""Pictures of stale and compressed gradients: gaps, rounds against α and τ, staleness, clocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.ticker as mticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis import asynchrony, style
from wiregrad.analysis.aggregate import GroupResult, Results
from wiregrad.analysis.asynchrony import Run
from wiregrad.analysis.figures import FigureSpec, kinds

Axis = Literal["round", "uplink_paper", "uplink_wire"]
AXES: dict[Axis, tuple[str, str]] = {
    "round": ("step", "rounds"),
    "uplink_paper": ("uplink_bits_paper", "uplink bits per worker (the paper's books)"),
    "uplink_wire": ("uplink_bits_wire", "uplink bits per worker (on the wire)"),
}
ROUNDING = 1e-12
"""Gaps below this share of the first are rounding."""
SEEN = 40
"""Gradients a worker that a timeline shows, at the most."""


@dataclass(frozen=True, kw_only=True)
class _OfRuns(FigureSpec):
    """Base: some methods of an experiment, each with its look."""

    methods: tuple[str, ...] = ()
    """Empty: all methods of the experiment."""

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if not self.methods or g.label in self.methods)

    def _looks(self, results: Results) -> dict[str, style.Look]:
        return style.looks(results.labels or [g.label for g in results.groups], results.colours)

    def _runs(self, results: Results) -> list[Run]:
        return list(asynchrony.runs(results, [g.label for g in self.shown(results)]))


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    figure.legend(handles=list(handles), loc="outside right center", labelspacing=0.5)


def _handle(run: Run, look: style.Look, **more: Any) -> Line2D:
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.linestyle}
    line |= {"marker": look.marker, "markersize": 4.5, "label": run.group.title}
    return Line2D([], [], **(line | more))


@kinds.register("gap")
@dataclass(frozen=True, kw_only=True)
class Gap(_OfRuns):
    """(f − f*)/(f(x⁰) − f*) against rounds and bits, a line a run; dotted: the theorem's bound."""

    x: tuple[Axis, ...] = ("round", "uplink_paper")
    bound: bool = False

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks, runs = self._looks(results), self._runs(results)
        figure = Figure(figsize=(3.1 * len(self.x) + 2.3, 3.1))
        axes = figure.subplots(1, len(self.x), sharey=True, squeeze=False)[0]
        for axis, x in zip(axes, self.x, strict=True):
            for run in runs:
                look, column = looks[run.label], AXES[x][0]
                spent = run.frame[column].to_numpy(dtype="float64")
                inside = (run.gaps > ROUNDING) & (spent > 0 if x != "round" else spent >= 0)
                line: dict[str, Any] = {"color": look.colour, "linestyle": look.linestyle}
                axis.plot(spent[inside], run.gaps[inside], linewidth=1.3, **line)
                found = asynchrony.bounds(run) if self.bound and x == "round" else None
                if found is not None:
                    dotted = {"linewidth": 0.9, "linestyle": (0, (1, 1.2))}
                    axis.plot(run.steps, found[0], color=look.colour, **dotted)
            axis.set(yscale="log", xlabel=AXES[x][1], xscale="linear" if x == "round" else "log")
        axes[0].set_ylabel("(f(x) − f*) / (f(x⁰) − f*)")
        firsts = {run.label: run for run in reversed(runs)}
        _legend(figure, [_handle(run, looks[k], marker="") for k, run in reversed(firsts.items())])
        notes = ["Each run at the theory's own step."]
        notes += ["Dotted: the bound of the theorem, an expectation."] if self.bound else []
        return figure, notes


@kinds.register("rounds_by")
@dataclass(frozen=True, kw_only=True)
class RoundsBy(_OfRuns):
    """Rounds until `column` is at `below` against α or τ: markers measured, dotted what T says.

    With `panels` a panel for each value of that setting. The dotted line is how long the transient
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
        looks = self._looks(results)
        runs = [r for r in self._runs(results) if r.setting(self.along) is not None]
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
            ticks = sorted({float(r.setting(self.along)) for r in mine})
            axis.xaxis.set_major_locator(mticker.FixedLocator(ticks))
            axis.xaxis.set_major_formatter("{x:.3g}")
            axis.xaxis.set_minor_locator(mticker.NullLocator())
        axes[0].set_ylabel(f"rounds to {_NAMES.get(self.column, self.column)} ≤ {self.below:g}")
        firsts = {run.label: run for run in reversed(runs)}
        _legend(figure, [_handle(run, looks[k]) for k, run in reversed(firsts.items())])
        return figure, [
            "Markers: measured, at the theory's own step of each run.",
            "Dotted: when the transient part of the bound is as low as the gap was there.",
        ]

    def _line(self, axis: Axes, runs: Sequence[Run], look: style.Look) -> None:
        ordered = sorted(runs, key=lambda r: float(r.setting(self.along)))
        points = [
            (float(r.setting(self.along)), asynchrony.rounds_until(r, self.column, self.below), r)
            for r in ordered
        ]
        met = [(v, k, r) for v, k, r in points if math.isfinite(k)]
        line: dict[str, Any] = {"color": look.colour, "linewidth": 1.3}
        xs = [v for v, _, _ in met]
        axis.plot(xs, [k for _, k, _ in met], marker=look.marker, markersize=4.5, **line)
        theory = [asynchrony.guaranteed(r, float(r.gaps[r.steps == k][0])) for _, k, r in met]
        axis.plot(xs, theory, linestyle=(0, (1, 1.2)), color=look.colour, linewidth=0.9)


_NAMES = {"grad_norm": "‖∇f‖", "gap": "gap"}


@kinds.register("step_by_delay")
@dataclass(frozen=True, kw_only=True)
class StepByDelay(_OfRuns):
    """Rounds until `column` is at `below` against the step in multiples of T3's: a line a τ."""

    column: str = "grad_norm"
    below: float

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        groups = [g for g in self.shown(results) if g.cards]
        runs = self._runs(results)
        taus = sorted({int(run.card.theory["tau"]) for run in runs})
        shades = dict(zip(taus, np.linspace(0.15, 0.85, len(taus)), strict=True))
        from matplotlib import colormaps

        colours = {tau: colormaps["viridis"](shade) for tau, shade in shades.items()}
        figure = Figure(figsize=(2.4 * len(groups) + 1.4, 2.9))
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            for tau in taus:
                points = sorted(
                    (r.card.theory["multiple"], asynchrony.rounds_until(r, self.column, self.below))
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
        _legend(figure, handles)
        return figure, ["×: diverged, or did not get there."]


@kinds.register("staleness")
@dataclass(frozen=True, kw_only=True)
class Staleness(_OfRuns):
    """How many updates passed between the reading of x and the use of its gradient: shares.

    Dashed: on the simulated clock; solid: as it happened among processes. With `panels` a panel for
    each value of that setting.
    """

    panels: str = ""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self._looks(results)
        runs = [run for run in self._runs(results) if run.setting("runtime.apply") != "all"]
        values = list(dict.fromkeys(str(run.setting(self.panels)) for run in runs)) or [""]
        both = len({run.setting("runtime.name") for run in runs}) > 1
        figure = Figure(figsize=(2.9 * len(values) + 3.2, 2.9))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        handles, notes = {}, []
        for run in runs:
            applied = asynchrony.gradients(run)
            if applied is None:
                continue
            real = run.setting("runtime.name") == "parameter_server"
            counts = applied["staleness"].value_counts(normalize=True).sort_index()
            dash: Any = (0, (4, 1.8)) if both and not real else looks[run.label].linestyle
            line: dict[str, Any] = {"color": looks[run.label].colour, "linestyle": dash}
            axis = axes[values.index(str(run.setting(self.panels)))]
            axis.step(counts.index, counts.to_numpy(), where="mid", linewidth=1.2, **line)
            title = run.group.title
            title += (", processes" if real else ", simulated") if both else ""
            handles[title] = Line2D([], [], **line, label=title)
            if real:
                notes.append(_accounts(run, int(applied["staleness"].max())))
        for axis, value in zip(axes, values, strict=True):
            axis.set(xlabel="staleness, updates")
            axis.set_title(f"{self.panels.rpartition('.')[2]}: {value}" if self.panels else "")
        axes[0].set_ylabel("share of the gradients")
        _legend(figure, list(handles.values()))
        return figure, notes


def _accounts(run: Run, most: int) -> str:
    """What became of the messages of a parameter server."""
    said = run.card.messages
    return (
        f"{run.group.title}, processes, bound {run.setting('runtime.staleness.bound')}: "
        f"{said['sent']} messages = {said['applied']} applied + {said['rejected']} rejected at the "
        f"end, staleness at most {most}."
    )


@kinds.register("against_clock")
@dataclass(frozen=True, kw_only=True)
class AgainstClock(_OfRuns):
    """A measured column against the simulated clock: solid on arrival, dashed waiting for all."""

    column: str = "metric_test"
    target: float | None = None

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks, figure = self._looks(results), Figure(figsize=(6.6, 3.1))
        axis, handles = figure.subplots(), {}
        for run in self._runs(results):
            at = asynchrony.clock(run)
            if at is None:
                continue
            waits = run.setting("runtime.apply") == "all"
            values = run.frame[self.column].to_numpy(dtype="float64")
            known = np.isfinite(values)
            dash: Any = (0, (4, 1.8)) if waits else "-"
            line: dict[str, Any] = {"color": looks[run.label].colour, "linestyle": dash}
            axis.plot(at[known], values[known], linewidth=1.3, **line)
            title = f"{run.group.title}{', waiting for all' if waits else ''}"
            handles[title] = Line2D([], [], **line, label=title)
        if self.target is not None:
            axis.axhline(self.target, color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
        axis.set(xlabel="simulated seconds", ylabel=_COLUMNS.get(self.column, self.column))
        _legend(figure, list(handles.values()))
        return figure, []


_COLUMNS = {"metric_test": "test accuracy", "loss_train": "train loss", "grad_norm": "‖∇f‖"}


@kinds.register("timeline")
@dataclass(frozen=True, kw_only=True)
class Timeline(_OfRuns):
    """Who computed when, from the start: bars, and a dot where the server used the gradient."""

    label: str

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if g.label == self.label)

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        runs: dict[str, Run] = {}
        for run in self._runs(results):
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
        return figure, ["Bars: a worker computes. Dots: the server uses its gradient."]
