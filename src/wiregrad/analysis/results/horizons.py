"""How fast gradients fall with the horizon: mean ‖∇f‖² of runs of T rounds, and its slope in T."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.statistics import Estimate


def averages(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run: label, seed, horizon T and the mean of ‖∇f(x_t)‖² over its logged t >= 1.

    That mean is what theorems on E‖∇f(x_τ)‖² with τ drawn evenly from the rounds are about. NaN
    where the run diverged.
    """
    rows = []
    for (label, seed, _), run in frame.groupby(["label", "seed", "run_id"]):
        measured = run.loc[run["step"] > 0, "grad_norm"].dropna()
        failed = (run["outcome"] == "diverged").any() or measured.empty
        value = np.nan if failed else float((measured**2).mean())
        rows.append({"label": label, "seed": seed, "horizon": run["step"].max(), "value": value})
    return pd.DataFrame(rows, columns=["label", "seed", "horizon", "value"])


def slope(table: pd.DataFrame) -> Estimate:
    """The log-log slope of `value` on `horizon`, fitted in each seed; of one label's `averages`."""
    fits = [
        statistics.loglog_slope(part["horizon"].to_numpy(), part["value"].to_numpy()).value
        for _, part in table.dropna(subset="value").groupby("seed")
        if part["horizon"].nunique() >= 3
    ]
    return statistics.mean_interval(fits)
