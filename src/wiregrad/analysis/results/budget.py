"""The budget of runs in words: rounds, epochs, samples, workers, and tuning."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from wiregrad.analysis.results.aggregate import GroupResult, Results


def lines(mine: Results) -> list[str]:
    """The budget of the runs, a line for each experiment; none where nothing was run."""
    done = mine.frame[mine.frame["outcome"] == "completed"]
    parts = {str(name): part for name, part in done.groupby("experiment", sort=False)}
    if len(parts) > 1:  # groups may span several experiments, and their tuning with them
        return [f"{name}: {_spent(part)}." for name, part in parts.items()]
    return [f"Budget of a run: {_spent(part)}{_tuning(mine.groups)}." for part in parts.values()]


def _spent(done: pd.DataFrame) -> str:
    """Rounds, epochs, samples and workers of these runs."""
    ends = done.groupby("run_id")[["step", "epoch", "samples"]].max()
    rounds = _range(ends["step"])
    parts = [f"{rounds} rounds"]
    # With full batches, or without samples, an epoch is a round.
    if not (ends["epoch"] == ends["step"]).all():
        parts.append(f"{_range(ends['epoch'])} epochs, {_range(ends['samples'])} samples")
    return f"{', '.join(parts)}, {_range(done['workers'].unique())} workers"


def _tuning(groups: Iterable[GroupResult]) -> str:
    """The budget of tuning; empty where nothing was tuned."""
    tuned = next((group.tuning for group in groups if group.tuning is not None), None)
    if tuned is None or not tuned.grid:
        return ""
    spent = {key: value for key, value in tuned.budget.items() if isinstance(value, (int, float))}
    amount = ", ".join(f"{value:,} {key}" for key, value in spent.items())
    each = f" of {amount} each" if amount else ""
    return f"; learning rates tuned on {len(tuned.grid)} points{each}"


def _range(values: Iterable[float]) -> str:
    """The value, or the smallest and the largest if they differ."""
    found = sorted({float(value) for value in values})
    ends = dict.fromkeys(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in found)
    named = list(ends)
    return named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}"
