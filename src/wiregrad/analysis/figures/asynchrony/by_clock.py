"""Pictures by the clock: staleness, progress against simulated seconds, who computed when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import matplotlib.ticker as mticker
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.asynchrony.pictures import RunPicture, legend
from wiregrad.analysis.figures.spec import kinds
from wiregrad.analysis.results import asynchrony as measured
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.asynchrony import Run

SEEN = 40
"""Gradients a worker that a timeline shows, at the most."""
_COLUMNS = {"metric_test": "test accuracy", "loss_train": "train loss", "grad_norm": "‖∇f‖"}


@kinds.register("staleness")
@dataclass(frozen=True, kw_only=True)
class Staleness(RunPicture):
    """How many updates passed between the reading of x and the use of its gradient: shares.

    Dashed: on the simulated clock; solid: as it happened among processes. With `panels` a panel for
    each value of that setting.
    """

    panels: str = ""
    log: bool = False
    """Shares on a logarithmic axis, which shows what is rare."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.colours(results)
        runs = [run for run in self.runs(results) if run.setting("runtime.apply") != "all"]
        values = list(dict.fromkeys(str(run.setting(self.panels)) for run in runs)) or [""]
        both = len({run.setting("runtime.name") for run in runs}) > 1
        figure = Figure(figsize=(2.9 * len(values) + 3.2, 2.9))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        handles, notes = {}, []
        for run in runs:
            applied = measured.gradients(run)
            if applied is None:
                continue
            real = run.setting("runtime.name") == "parameter_server"
            counts = applied["staleness"].value_counts(normalize=True)
            counts = counts.reindex(range(counts.index.max() + 1), fill_value=0.0)
            counts = counts.where(counts > 0) if self.log else counts
            look = looks[run.label]
            dash: Any = ("-" if real else (0, (4, 1.8))) if both else look.linestyle
            line: dict[str, Any] = {"color": look.colour, "linestyle": dash}
            axis = axes[values.index(str(run.setting(self.panels)))]
            axis.step(counts.index, counts.to_numpy(), where="mid", linewidth=1.2, **line)
            title = run.group.title
            title += (", processes" if real else ", simulated") if both else ""
            handles[title] = Line2D([], [], **line, label=title)
            if real:
                notes.append(_accounts(run, int(applied["staleness"].max())))
        for axis, value in zip(axes, values, strict=True):
            axis.set(xlabel="staleness, updates", yscale="log" if self.log else "linear")
            axis.set_title(f"{self.panels.rpartition('.')[2]}: {value}" if self.panels else "")
        axes[0].set_ylabel("share of the gradients")
        legend(figure, list(handles.values()))
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
class AgainstClock(RunPicture):
    """A measured column against the simulated clock: solid on arrival, dashed waiting for all."""

    column: str = "metric_test"
    target: float | None = None

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks, figure = self.colours(results), Figure(figsize=(6.6, 3.1))
        axis, handles = figure.subplots(), {}
        for run in self.runs(results):
            at = measured.clock(run)
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
        legend(figure, list(handles.values()))
        return figure, []


@kinds.register("timeline")
@dataclass(frozen=True, kw_only=True)
class Timeline(RunPicture):
    """Who computed when, from the start: bars, and a dot where the server used the gradient."""

    label: str

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if g.label == self.label)

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        runs: dict[str, Run] = {}
        for run in self.runs(results):
            if run.card.staleness_sha256 is not None:
                runs.setdefault(str(run.setting("runtime.apply")), run)
        titles = {"each": "applied on arrival", "all": "waiting for all"}
        figure = Figure(figsize=(7.2, 0.9 + 1.7 * max(1, len(runs))))
        axes = figure.subplots(max(1, len(runs)), 1, sharex=True, squeeze=False)[:, 0]
        end = math.inf
        for axis, (apply, run) in zip(axes, sorted(runs.items(), reverse=True), strict=False):
            table = measured.gradients(run)
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
