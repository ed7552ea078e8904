"""Numbers taken from histories: one value a run, and curves on common x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import RUN_COLUMNS

RUN_KEYS = ["label", "workers", "seed"]

At = Literal["final"] | Mapping[str, float]
"""Where along a run a value is taken: its end, or e.g. ``{"epoch": 5}``."""


def per_run(frame: pd.DataFrame, column: str, at: At = "final") -> pd.DataFrame:
    """One row a run: label, workers, seed, run_id, diverged, value of `column` at `at`.

    At the end it is the last measured value. At a given epoch, or in a unit of another column, it
    is interpolated linearly between logged rows. NaN where the run ended before, or diverged.
    """
    rows = []
    for run_id, run in frame.groupby([*RUN_KEYS, "run_id"]):
        diverged = bool((run["outcome"] == "diverged").any())
        value = np.nan if diverged else _value_at(run, column, at)
        rows.append(_run_row(run, diverged=diverged, value=value) | {"run_id": run_id[-1]})
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "run_id", "diverged", "value"])


def _run_row(run: pd.DataFrame, **values: Any) -> dict[str, Any]:
    return {key: run[key].iloc[0] for key in RUN_KEYS} | values


def _value_at(run: pd.DataFrame, column: str, at: At) -> float:
    axis = "step" if at == "final" else next(iter(at))
    measured = run[[axis, column]].astype("float64").dropna().sort_values(axis)
    if measured.empty:
        return float("nan")
    if at == "final":
        return float(measured[column].iloc[-1])
    where = float(at[axis])
    return float(np.interp(where, measured[axis], measured[column], left=np.nan, right=np.nan))


def first_crossing(
    frame: pd.DataFrame, column: str, target: float, x: str, *, rising: bool = False
) -> pd.DataFrame:
    """What each run spent, in units of the column `x`, until `column` first reached `target`.

    One row a run: label, workers, seed, censored, value (interpolated linearly between logged
    rows; NaN if censored) and spent (x at the run's end). A run that never got there is censored.
    """
    rows = []
    for _, run in frame.groupby([*RUN_KEYS, "run_id"]):
        value = _crossing(run, column, target, x, rising)
        spent = float(run[x].max())
        rows.append(_run_row(run, censored=bool(np.isnan(value)), value=value, spent=spent))
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "censored", "value", "spent"])


def _crossing(run: pd.DataFrame, column: str, target: float, x: str, rising: bool) -> float:
    measured = run.sort_values("step")[list(dict.fromkeys([x, column]))].astype("float64").dropna()
    xs, ys = measured[x].to_numpy(), measured[column].to_numpy()
    gap = (target - ys) if rising else (ys - target)
    reached = np.flatnonzero(gap <= 0)
    if reached.size == 0:
        return float("nan")
    i = int(reached[0])
    if i == 0:
        return float(xs[0])
    share = gap[i - 1] / (gap[i - 1] - gap[i])
    return float(xs[i - 1] + share * (xs[i] - xs[i - 1]))


def speedup_slopes(table: pd.DataFrame) -> pd.Series:
    """The log-log slope of `value` on `workers` in each seed, of a table of `first_crossing`."""
    fits = {
        seed: statistics.loglog_slope(part["workers"].to_numpy(), part["value"].to_numpy()).value
        for seed, part in table.dropna(subset="value").groupby("seed")
        if part["workers"].nunique() >= 2
    }
    return pd.Series(fits, dtype="float64")


def on_common_x(frame: pd.DataFrame, x: str, columns: Sequence[str]) -> pd.DataFrame:
    """The runs of one curve (one label, one number of workers), interpolated onto common x.

    Runs that were logged at the same x are returned as they are. Else the grid is that of the run
    with the fewest rows, and a run has NaN outside the range it covers.
    """
    runs = [run.sort_values("step") for _, run in frame.groupby("run_id", sort=True)]
    if len(runs) < 2:
        return frame
    grid = min(runs, key=len)[x].to_numpy(dtype="float64")
    alike = all(run[x].isin(grid).all() for run in runs)
    if alike:
        return frame
    parts = [_interpolated(run, grid, x, columns) for run in runs]
    return pd.concat(parts, ignore_index=True)


def _interpolated(
    run: pd.DataFrame, grid: np.ndarray[Any, Any], x: str, columns: Sequence[str]
) -> pd.DataFrame:
    part = {key: run[key].iloc[0] for key in RUN_COLUMNS} | {x: grid}
    for column in (c for c in columns if c != x):
        known = run[[x, column]].astype("float64").dropna()
        if known.empty:
            part[column] = np.full(grid.shape, np.nan)
        else:
            part[column] = np.interp(grid, known[x], known[column], left=np.nan, right=np.nan)
    return pd.DataFrame(part)
