"""How the runs of a group are executed, one after the other, by one process at a time."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from wiregrad.core.errors import ConfigError
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.loop import Progress
from wiregrad.runs.pool.pool import Pool
from wiregrad.runs.record import RunCard
from wiregrad.runtimes.settings import Processes
from wiregrad.runtimes.settings import registry as runtimes
from wiregrad.studies.files import PROGRESS, RoundsDone
from wiregrad.studies.plan import Group, PlannedRun
from wiregrad.studies.run_configs import TUNED, asked_of_theory, assign

Say = Callable[[str], None]
R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """How to execute runs; nothing here changes their numbers."""

    device: str = "auto"
    checkpoint_seconds: float = 60.0
    say: Say = print
    """Takes one line on what happens."""
    pool: Pool | None = None
    """Processes that share the gradients."""


def one_at_a_time(work: Callable[[Group, Job], R]) -> Callable[[Group, Job], R]:
    """Let one process work on a group; a second one waits until the first has ended.

    A killed workflow can leave a training job behind that is still at work.
    """

    @wraps(work)
    def locked(group: Group, job: Job) -> R:
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


def require_no_ranks(group: Group) -> None:
    """Raise ConfigError where a run of the group needs one process per worker.

    All runs of a group are executed in one process. To simulate them there under the name of the
    distributed runtime would leave false run cards.
    """
    for planned in group.runs:
        name = planned.config["runtime"].get("name", "simulated")
        if runtimes[name].processes is Processes.RANKS:
            raise ConfigError(
                f"{group.paper}/{group.experiment}: runtime.name: {name} runs one process per "
                f"worker: use `wiregrad launch -n {planned.workers} CONFIG` for each run, or "
                "runtime.name: simulated here"
            )


def execute_planned(
    planned: PlannedRun, out: Path, group: Group, job: Job, settings: Mapping[str, Any]
) -> RunCard:
    """Execute one run of a group into `out`; a finished run is kept as it is.

    `settings`, by dotted key of a run configuration, are what a tuning or sweep chose; they replace
    a rate that is `TUNED`. Raises ConfigError, DataUnavailable, RuntimeFailure.
    """
    config = copy.deepcopy(planned.config)
    if config["method"].get("lr") == TUNED:
        for key, value in settings.items():
            assign(config, key, value)
    where = f"{group.paper}/{group.experiment}/{group.label}"
    theory: dict[str, Any] = {}
    if asked_of_theory(config):
        from wiregrad.studies import theory_step  # noqa: PLC0415 - slow, seldom used

        config, theory = theory_step.resolved(config, where)
    card = execute(
        RunConfig.parse(config, where),
        out,
        device=job.device,
        labels=group.labels,
        checkpoint_seconds=job.checkpoint_seconds,
        progress=_reporter(out / PROGRESS),
        pool=job.pool,
        theory=theory,
    )
    assert card is not None  # only a rank may have none
    (out / PROGRESS).unlink(missing_ok=True)
    job.say(
        f"{where} {planned.run_id}: {card.outcome}, {card.steps} rounds, {card.wall_seconds:.1f} s"
    )
    return card


def _reporter(path: Path, every: float = 1.0) -> Progress:
    """Writes rounds done and rounds at the most to `path`, once in `every` seconds."""
    last = 0.0

    def report(done: int, total: int, _: dict[str, Any] | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            path.parent.mkdir(parents=True, exist_ok=True)
            content = RoundsDone(done=done, total=total).model_dump()
            path.write_text(json.dumps(content), encoding="utf-8")

    return report
