"""How fast gradients fall with the horizon T: mean ‖∇f‖² of runs of T rounds, and its slope."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.statistics import Estimate


def averages(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run: label, seed, horizon T and, as value, the mean of ‖∇f(x_t)‖² over t ≥ 1.

    The mean is over logged rounds. Theorems bound E‖∇f(x_τ)‖² for τ drawn uniformly from the
    rounds, which it estimates. NaN where the run diverged.
    """
    rows = []
    for (label, seed, _), run in frame.groupby(["label", "seed", "run_id"]):
        measured = run.loc[run["step"] > 0, "grad_norm"].dropna()
        failed = (run["outcome"] == "diverged").any() or measured.empty
        value = np.nan if failed else float((measured**2).mean())
        rows.append({"label": label, "seed": seed, "horizon": run["step"].max(), "value": value})
    return pd.DataFrame(rows, columns=["label", "seed", "horizon", "value"])


def slope(table: pd.DataFrame) -> Estimate:
    """The log-log slope of value against horizon, fitted in each seed of one label's `averages`."""
    fits = [
        statistics.loglog_slope(part["horizon"].to_numpy(), part["value"].to_numpy()).value
        for _, part in table.dropna(subset="value").groupby("seed")
        if part["horizon"].nunique() >= 3
    ]
    return statistics.mean_interval(fits)
