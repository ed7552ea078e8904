"""Training a group of a plan: its tuning first, then its runs, one after the other."""

from __future__ import annotations

import copy
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wiregrad.core.errors import AllDiverged, ConfigError, DataUnavailable
from wiregrad.core.files import write_json
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.loop import Progress
from wiregrad.runs.pool.pool import Pool
from wiregrad.runs.record import RunCard
from wiregrad.runtimes.settings import Processes
from wiregrad.runtimes.settings import registry as runtimes
from wiregrad.studies.manifest import NO_DATA, manifest
from wiregrad.studies.plan import TUNED, Group, PlannedRun, asked_of_theory, assign
from wiregrad.studies.sweep.group import chosen, sweep_group

PROGRESS = "progress.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """How to execute: device, how often to checkpoint, where to say what happens, by how many."""

    device: str = "auto"
    checkpoint_seconds: float = 60.0
    say: Say = print
    pool: Pool | None = None


def _alone(work: Callable[[Group, Job], dict[str, Any]]) -> Callable[[Group, Job], dict[str, Any]]:
    """Two processes never work on one group: the second one waits until the first has ended.

    A killed workflow can leave a training job behind that is still at work.
    """

    @wraps(work)
    def locked(group: Group, job: Job) -> dict[str, Any]:
        group.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(group.directory / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            job.say(f"{group.directory}: another process is at work here; waiting for it")
            lock.acquire()
        try:
            return work(group, job)
        finally:
            lock.release()

    return locked


@_alone
def train(group: Group, job: Job) -> dict[str, Any]:
    """Run every planned run of `group` and write group.json; finished runs are kept as they are.

    A data set that cannot be had, a tuning or sweep of which every point diverged, or a `skip` of
    the configuration, is recorded as the reason why nothing was run. Returns the manifest.
    """
    if group.skip is not None:
        return manifest(group, [], group.skip)
    _require_no_ranks(group)
    runs = []
    try:
        settings = _settings(group, job)
        for planned in group.runs:
            card = _run(planned, group.directory / planned.run_id, group, job, settings)
            runs.append(_entry(planned, card))
    except (DataUnavailable, AllDiverged) as error:
        why = f"{NO_DATA}{error}" if isinstance(error, DataUnavailable) else str(error)
        job.say(f"{group.experiment}/{group.label}: not run: {why}")
        return manifest(group, [], why)
    _remove_others(group)
    return manifest(group, runs, None)


@_alone
def tune(group: Group, job: Job) -> dict[str, Any]:
    """Score every rate of the group's grid on the metric of its tuning; write tuning.json.

    A rate with a diverged run is out. The best being at the grid's edge is a warning. Trials that
    are done are kept, so that a tuning that is asked for again costs nothing.
    """
    return _tune(group, job)


def _require_no_ranks(group: Group) -> None:
    """Raise ConfigError where a run of the group needs one process per worker.

    A group's runs follow each other in this process; a simulation under the name of the distributed
    runtime would be a false record.
    """
    for planned in group.runs:
        if (
            runtimes[planned.config["runtime"].get("name", "simulated")].processes
            is Processes.RANKS
        ):
            raise ConfigError(
                f"{group.paper}/{group.experiment}: runtime.name: distributed runs one process per "
                f"worker: use `wiregrad launch -n {planned.workers} CONFIG` for one run, or "
                "runtime.name: simulated here"
            )


def _tune(group: Group, job: Job) -> dict[str, Any]:
    tuning = group.tuning
    if tuning is None:
        raise ConfigError(f"{group.paper}/{group.experiment}: no tuning at scale {group.scale}")
    scores: dict[str, list[float | None]] = {}
    result: dict[str, Any] = {
        "grid": list(tuning.rates(group.label)),
        "scores": scores,
        "metric": tuning.metric,
        "seeds": list(tuning.seeds),
        "budget": tuning.budget,
        "best": None,
        "edge": False,
        "not_run": group.skip,
    }
    try:
        for rate, planned in group.tuning_runs if group.skip is None else ():
            card = _run(planned, group.directory / "tuning" / planned.run_id, group, job, {})
            value = card.final.get(tuning.metric) if card.outcome == "completed" else None
            scores.setdefault(repr(rate), []).append(value)
    except DataUnavailable as error:
        scores.clear()
        result["not_run"] = f"{NO_DATA}{error}"
    if result["not_run"] is None:
        result["best"] = _best(scores, minimise=tuning.minimise)
        result["edge"] = result["best"] in (min(result["grid"]), max(result["grid"]))
        if result["best"] is None:
            result["not_run"] = "every rate of the tuning grid diverged"
            job.say(f"{group.experiment}/{group.label}: {result['not_run']}")
        if result["edge"]:
            job.say(f"warning: {group.label}: the best rate {result['best']} is at the grid's edge")
    write_json(group.tuning_file, result)
    return result


def _settings(group: Group, job: Job) -> dict[str, Any]:
    """What a sweep or tuning chose, by dotted key of a run configuration.

    They are part of the job: they often take less time than another start of torch would. Raises
    DataUnavailable, and AllDiverged.
    """
    if group.sweep is not None:
        return chosen(group, sweep_group(group, say=job.say))
    if group.tuning is None:
        return {}
    found = _tune(group, job)
    reason = str(found["not_run"] or "")
    if reason.startswith(NO_DATA):
        raise DataUnavailable(reason.removeprefix(NO_DATA))
    if reason:
        raise AllDiverged(reason)
    return {"method.lr": found["best"]}


def _best(scores: dict[str, list[float | None]], *, minimise: bool) -> float | None:
    """The rate with the best mean score; None where every one has a diverged run."""

    def score(values: list[float | None]) -> float:
        if any(v is None or not math.isfinite(v) for v in values):
            return math.inf
        mean = statistics.fmean(v for v in values if v is not None)
        return mean if minimise else -mean

    best = min(scores, key=lambda rate: (score(scores[rate]), float(rate)))
    return None if math.isinf(score(scores[best])) else float(best)


def _run(
    planned: PlannedRun, out: Path, group: Group, job: Job, settings: Mapping[str, Any]
) -> RunCard:
    config = copy.deepcopy(planned.config)
    if config["method"].get("lr") == TUNED:
        for key, value in settings.items():
            assign(config, key, value)
    where = f"{group.paper}/{group.experiment}/{group.label}"
    theory: dict[str, Any] = {}
    if asked_of_theory(config):
        from wiregrad.studies import theory_step  # noqa: PLC0415 - slow, seldom used

        config, theory = theory_step.resolved(config, where)
    run = RunConfig.parse(config, where)
    progress_file = out / PROGRESS
    card = execute(
        run,
        out,
        device=job.device,
        labels=group.labels,
        checkpoint_seconds=job.checkpoint_seconds,
        progress=_reporter(progress_file),
        pool=job.pool,
        theory=theory,
    )
    assert card is not None  # it would be on a rank
    progress_file.unlink(missing_ok=True)
    job.say(
        f"{where} {planned.run_id}: {card.outcome}, {card.steps} rounds, {card.wall_seconds:.1f} s"
    )
    return card


def _reporter(path: Path, every: float = 1.0) -> Progress:
    """Writes rounds done and rounds at the most to `path`, about once a second."""
    last = 0.0

    def report(done: int, total: int, _: dict[str, Any] | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")

    return report


def _entry(planned: PlannedRun, card: RunCard) -> dict[str, Any]:
    return {
        "id": planned.run_id,
        "seed": planned.seed,
        "workers": planned.workers,
        "outcome": card.outcome,
        "history_sha256": card.history_sha256,
    }


def _remove_others(group: Group) -> None:
    """Runs of an earlier configuration would be taken for results of this one."""
    planned = {run.run_id for run in group.runs}
    for path in group.directory.glob("n*-s*-*"):
        if path.is_dir() and path.name not in planned:
            shutil.rmtree(path)
