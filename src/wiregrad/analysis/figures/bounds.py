"""Measured against bound, for runs at a step that a theorem allows: figure kind and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import matplotlib.ticker as mticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import FigureSpec, kinds
from wiregrad.analysis.results.aggregate import GroupResult, Results

Regime = Literal["nonconvex", "pl"]
WORDS: dict[Regime, tuple[str, str]] = {
    "nonconvex": (
        "mean of ‖∇f‖² over x⁰ … xᵀ⁻¹",
        (
            "Bound: 2(f(x⁰) − f*)/(γT), with the lowest loss that any run here found in place "
            "of f*, which can only lower the bound."
        ),
    ),
    "pl": (
        "f(xᵀ) − f*",
        (
            "Bound: (1 − γμ)ᵀ (f(x⁰) − f*). f* is known between the lowest loss and the largest "
            "f(x) − ‖∇f(x)‖²/(2μ) of any run here, less rounding; measured values take the lower "
            "end, bounds the upper one, and rows where the two ends matter are left out."
        ),
    ),
}
KNOWN = 0.01
"""Rows of the PL regime are shown while f* is known to this share of the measured value."""
ROUNDING = 2.0**-45
"""Relative error of a logged loss (a float64 mean over a data set), generously: 256 roundings."""


class Ends(NamedTuple):
    """What is known about f*: at least `low`, at most `high`."""

    low: float
    high: float


def optimum(frame: pd.DataFrame, mu: float) -> Ends:
    """What the histories of one problem say about f*; `low` is −∞ where μ is NaN."""
    known = frame[["loss_train", "grad_norm"]].dropna()
    high = float(known["loss_train"].min())
    if not math.isfinite(mu):
        return Ends(-math.inf, high)
    low = float((known["loss_train"] - known["grad_norm"] ** 2 / (2 * mu)).max())
    return Ends(min(low, high) - ROUNDING * abs(high), high)


def compared(run: pd.DataFrame, regime: Regime, mu: float, best: Ends) -> pd.DataFrame:
    """Columns T, measured and bound of one run whose every round is logged, at a constant step."""
    run = run.sort_values("step")
    lr, gap = float(run["lr"].iloc[-1]), float(run["loss_train"].iloc[0]) - best.high
    if regime == "nonconvex":
        T = run["step"].to_numpy(dtype="float64")[1:]
        squares = run["grad_norm"].to_numpy(dtype="float64")[:-1] ** 2
        return pd.DataFrame(
            {"T": T, "measured": np.cumsum(squares) / T, "bound": 2 * gap / (lr * T)}
        )
    T = run["step"].to_numpy(dtype="float64")
    loss = run["loss_train"].to_numpy(dtype="float64")
    found = pd.DataFrame({"T": T, "measured": loss - best.low, "bound": gap * (1 - lr * mu) ** T})
    known = best.high - best.low <= KNOWN * (loss - best.high)
    return found[known & (T > 0)]  # at T = 0 both are f(x⁰) − f*


def ratios(results: Results, labels: tuple[str, ...], regime: Regime) -> dict[str, float]:
    """The largest measured/bound of each label's runs; `results` is that of one experiment."""
    found: dict[str, float] = {}
    for group, table in tables(results, labels, regime):
        worst = float((table["measured"] / table["bound"]).max())
        found[group.label] = max(worst, found.get(group.label, -math.inf))
    return found


def tables(
    results: Results, labels: tuple[str, ...], regime: Regime
) -> Iterator[tuple[GroupResult, pd.DataFrame]]:
    """(group, its `compared` table) for every run of these labels that did not diverge."""
    groups = [
        g for g in results.groups if g.cards and g.sweep and (not labels or g.label in labels)
    ]
    mu = next((group.sweep.constants["mu"] for group in groups if group.sweep), math.nan)
    best = optimum(results.frame[results.frame["outcome"] != "diverged"], mu)
    for group in groups:
        mine = results.frame[results.frame["label"] == group.label]
        for _, run in mine[mine["outcome"] != "diverged"].groupby("run_id", sort=True):
            table = compared(run, regime, mu, best)
            if len(table):
                yield group, table


@kinds.register("bound")
@dataclass(frozen=True, kw_only=True)
class BoundFigure(FigureSpec):
    """Left: what is measured (lines) and its bound (dotted) against T. Right: their ratio."""

    regime: Regime = "nonconvex"
    methods: tuple[str, ...] = ()
    """Empty: all methods of the experiment."""

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if not self.methods or g.label in self.methods)

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = style.looks(results.labels or [g.label for g in results.groups], results.colours)
        figure = Figure(figsize=(8.6, 3.2))
        left, right = figure.subplots(1, 2)
        handles = {}
        worst = ratios(results, self.methods, self.regime)
        for group, table in tables(results, self.methods, self.regime):
            look = looks[group.label]
            line: dict[str, Any] = {"color": look.colour, "linewidth": 1.4}
            left.plot(table["T"], table["measured"], linestyle=look.linestyle, **line)
            left.plot(
                table["T"],
                table["bound"],
                color=look.colour,
                linewidth=0.9,
                linestyle=(0, (1, 1.2)),
            )
            ratio = table["measured"] / table["bound"]
            right.plot(table["T"], ratio, linestyle=look.linestyle, **line)
            handles[group.label] = Line2D(
                [],
                [],
                linestyle=look.linestyle,
                label=f"{group.title}: at most {worst[group.label]:.2g}",
                **line,
            )
        measured, note = WORDS[self.regime]
        scale = "log" if self.regime == "nonconvex" else "linear"
        left.set(xscale=scale, yscale="log", xlabel="rounds T", ylabel=measured)
        right.set(xscale=scale, yscale="log", xlabel="rounds T", ylabel="measured / bound")
        right.axhline(1.0, color="#444444", linewidth=0.9, linestyle=(0, (2, 2)))
        for axis in (left, right):
            axis.yaxis.set_minor_locator(mticker.NullLocator())
        bottom, top = right.get_ylim()
        right.set_ylim(max(bottom, 1e-6), max(2.0, top))
        figure.legend(
            handles=list(handles.values()), loc="outside right center", title="measured / bound"
        )
        return figure, ["Dotted, left: the bound of the same colour. " + note]
