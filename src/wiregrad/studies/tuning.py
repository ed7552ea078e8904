"""Tuning: which learning rate scores best on the metric of a group's tuning, and what goes with it.

Trials are made on demand: `wiregrad.studies.search` extends the grid where the best rate is at an
end of it. What is tried depends on the scores alone, and finished trials are kept, so that a tuning
that was interrupted goes on to the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.runs.record import Outcome
from wiregrad.studies.files import (
    RATE,
    NotRun,
    NotRunKind,
    TuningPoint,
    TuningResult,
    write,
)
from wiregrad.studies.job import Job, execute_planned, one_at_a_time, require_no_ranks
from wiregrad.studies.plan import Group
from wiregrad.studies.search import Found, Point, Score, search
from wiregrad.studies.tuning_schema import Tuning


def find_rate(group: Group, job: Job) -> TuningResult:
    """Search the group's rates, and what else it tunes; write tuning.json, and return its content.

    Settings with a diverged run are never the best. A best that is not settled gives a warning.
    Raises ConfigError where the group has no tuning.
    """
    tuning = group.tuning
    if tuning is None:
        raise ConfigError(f"{group.paper}/{group.experiment}: no tuning at scale {group.scale}")
    require_no_ranks(group)
    trials = _Trials(group, tuning, job)
    found = None
    not_run = None if group.skip is None else NotRun(kind=NotRunKind.SKIPPED, detail=group.skip)
    if not_run is None:
        try:
            found = search(group.axes, trials.scores)
        except DataUnavailable as error:
            not_run = NotRun(kind=NotRunKind.NO_DATA, detail=str(error))
    result = _result(group, tuning, trials, found, not_run)
    _tell(group, result, job)
    write(group.tuning_file, result)
    return result


tune = one_at_a_time(find_rate)
"""`find_rate` of a group that no other process works on."""


class _Trials:
    """Executes the trials that a search asks for, and keeps what came of them."""

    def __init__(self, group: Group, tuning: Tuning, job: Job) -> None:
        self.group, self.tuning, self.job = group, tuning, job
        self.tried: dict[Point, TuningPoint] = {}

    def scores(self, points: Sequence[Point]) -> list[Score]:
        """Score the points, each with every tuning seed; raises DataUnavailable."""
        return [self._score(point) for point in points]

    def _score(self, point: Point) -> Score:
        settings = self.group.settings_at(point)
        values = tuple(self._value(settings, seed) for seed in self.tuning.seeds)
        self.tried[point] = tried = TuningPoint(settings=settings, values=values)
        score = tried.score
        named = ", ".join(f"{key} = {value:g}" for key, value in settings.items())
        what = "diverged" if score is None else f"{self.tuning.metric} {score:.6g}"
        self.job.say(f"{self.group.experiment}/{self.group.label}: {named}: {what}")
        if score is None:
            return None
        return (score if self.tuning.minimise else -score,)

    def _value(self, settings: dict[str, float], seed: int) -> float | None:
        """The metric at the end of a trial; None where it diverged."""
        planned = self.group.trial(settings, seed)
        out = self.group.directory / "tuning" / planned.run_id
        card = execute_planned(planned, out, self.group, self.job, {})
        completed = card.outcome is Outcome.COMPLETED
        return card.final.get(self.tuning.metric) if completed else None


def _result(
    group: Group, tuning: Tuning, trials: _Trials, found: Found | None, not_run: NotRun | None
) -> TuningResult:
    assert group.trial_config is not None
    chosen: dict[str, float] = {}
    unsettled: tuple[str, ...] = ()
    if found is not None:
        unsettled = tuple(name for name, settled in found.settled.items() if not settled)
        if found.best is None:
            detail = "every rate of the tuning grid diverged"
            not_run = NotRun(kind=NotRunKind.DIVERGED, detail=detail)
        else:
            chosen = group.settings_at(found.best)
    return TuningResult(
        points=tuple(trials.tried[point] for point in sorted(trials.tried)),
        metric=tuning.metric,
        seeds=tuning.seeds,
        budget=group.trial_config["budget"],
        best=chosen.get(RATE),
        chosen=chosen,
        settled=bool(chosen) and not unsettled,
        unsettled=unsettled,
        cap=tuning.cap,
        not_run=not_run,
    )


def _tell(group: Group, result: TuningResult, job: Job) -> None:
    if result.not_run is not None and result.not_run.kind is NotRunKind.DIVERGED:
        job.say(f"{group.experiment}/{group.label}: {result.not_run.text}")
    elif result.unsettled and result.cap is None:
        job.say(f"warning: {group.label}: the best rate {result.best} is at the grid's edge")
    elif result.unsettled:
        names = ", ".join(result.unsettled)
        job.say(
            f"warning: {group.label}: tuning not settled after {result.cap} values in {names}: "
            f"the best rate is {result.best}"
        )
