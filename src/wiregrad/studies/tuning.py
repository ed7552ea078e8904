"""Tuning: which learning rate of a group's grid scores best on the metric of its tuning."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.runs.record import Outcome
from wiregrad.studies.files import NotRun, NotRunKind, TuningResult, write
from wiregrad.studies.job import Job, execute_planned, one_at_a_time, require_no_ranks
from wiregrad.studies.plan import Group
from wiregrad.studies.schema import Tuning

Scores = Mapping[str, Sequence[float | None]]
"""By rate, one value of the metric a seed; None where the run diverged."""


def find_rate(group: Group, job: Job) -> TuningResult:
    """Score every rate of the group's grid; write tuning.json, and return what it holds.

    A rate with a diverged run is never the best. A best rate at an end of the grid gives a
    warning. Trials that are finished are kept, so that tuning again costs nothing. Raises
    ConfigError where the group has no tuning.
    """
    tuning = group.tuning
    if tuning is None:
        raise ConfigError(f"{group.paper}/{group.experiment}: no tuning at scale {group.scale}")
    require_no_ranks(group)
    scores: dict[str, list[float | None]] = {}
    not_run = None if group.skip is None else NotRun(kind=NotRunKind.SKIPPED, detail=group.skip)
    if not_run is None:
        try:
            scores = _scores(group, tuning, job)
        except DataUnavailable as error:
            not_run = NotRun(kind=NotRunKind.NO_DATA, detail=str(error))
    result = _result(group, tuning, scores, not_run)
    _tell(group, result, job)
    write(group.tuning_file, result)
    return result


tune = one_at_a_time(find_rate)
"""`find_rate` of a group that no other process works on."""


def _scores(group: Group, tuning: Tuning, job: Job) -> dict[str, list[float | None]]:
    """Run the trials; raises DataUnavailable."""
    scores: dict[str, list[float | None]] = {}
    for rate, planned in group.tuning_runs:
        card = execute_planned(planned, group.directory / "tuning" / planned.run_id, group, job, {})
        completed = card.outcome is Outcome.COMPLETED
        value = card.final.get(tuning.metric) if completed else None
        scores.setdefault(repr(rate), []).append(value)
    return scores


def _result(group: Group, tuning: Tuning, scores: Scores, not_run: NotRun | None) -> TuningResult:
    grid = tuning.rates(group.label)
    best = None
    if not_run is None:
        best = best_rate(scores, minimise=tuning.minimise)
        if best is None:
            detail = "every rate of the tuning grid diverged"
            not_run = NotRun(kind=NotRunKind.DIVERGED, detail=detail)
    return TuningResult(
        grid=grid,
        scores={rate: tuple(values) for rate, values in scores.items()},
        metric=tuning.metric,
        seeds=tuning.seeds,
        budget=tuning.budget,
        best=best,
        edge=best in (min(grid), max(grid)),
        not_run=not_run,
    )


def _tell(group: Group, result: TuningResult, job: Job) -> None:
    if result.not_run is not None and result.not_run.kind is NotRunKind.DIVERGED:
        job.say(f"{group.experiment}/{group.label}: {result.not_run.text}")
    if result.edge:
        job.say(f"warning: {group.label}: the best rate {result.best} is at the grid's edge")


def best_rate(scores: Scores, *, minimise: bool) -> float | None:
    """The rate with the best mean score, of equals the smallest; None where all have diverged."""

    def score(values: Sequence[float | None]) -> float:
        if any(v is None or not math.isfinite(v) for v in values):
            return math.inf
        mean = statistics.fmean(v for v in values if v is not None)
        return mean if minimise else -mean

    best = min(scores, key=lambda rate: (score(scores[rate]), float(rate)))
    return None if math.isinf(score(scores[best])) else float(best)
