"""Measured against bound, for runs at a step that a theorem allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from wiregrad.analysis.results.aggregate import GroupResult, Results

Regime = Literal["nonconvex", "pl"]
KNOWN = 0.01
"""Rows of the PL regime are kept while f* is known to this share of the measured value."""
ROUNDING = 2.0**-45
"""Relative error allowed for a logged loss, a float64 mean over a data set: 256 roundings."""


class Ends(NamedTuple):
    """What is known about f*: it lies between `low` and `high`."""

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
    """Columns T, measured and bound of a run with a constant step whose every round is logged."""
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
    """The largest ratio of measured to bound by label, in the results of one experiment."""
    found: dict[str, float] = {}
    for group, table in each_run(results, labels, regime):
        worst = float((table["measured"] / table["bound"]).max())
        found[group.label] = max(worst, found.get(group.label, -math.inf))
    return found


def each_run(
    results: Results, labels: tuple[str, ...], regime: Regime
) -> Iterator[tuple[GroupResult, pd.DataFrame]]:
    """Each run of these labels that did not diverge, as its group and its table of `compared`."""
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
