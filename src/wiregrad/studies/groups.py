"""Training a group of a plan: its tuning or sweep first, then its runs, one after the other."""

from __future__ import annotations

import shutil
from typing import Any

from wiregrad.core.errors import DataUnavailable
from wiregrad.runs.record import RunCard
from wiregrad.studies import tuning
from wiregrad.studies.files import ListedRun, Manifest, NotRun, NotRunKind, write
from wiregrad.studies.job import Job, execute_planned, one_at_a_time, require_no_ranks
from wiregrad.studies.plan import Group, PlannedRun
from wiregrad.studies.sweep.group import chosen_settings, sweep_group


@one_at_a_time
def train(group: Group, job: Job) -> Manifest:
    """Execute every planned run of `group`, then write and return its manifest, group.json.

    Finished runs are kept as they are. Where the data set is not available, every point of the
    tuning or sweep diverged, or the configuration says `skip`, there are no runs and the manifest
    says why. Raises ConfigError, RuntimeFailure.
    """
    runs, not_run = _runs_of(group, job)
    manifest = Manifest(**group.labels, runs=runs, not_run=not_run)
    if not_run is None:
        _remove_unplanned(group)
    elif not_run.kind is not NotRunKind.SKIPPED:
        job.say(f"{group.experiment}/{group.label}: not run: {not_run.text}")
    write(group.manifest, manifest)
    return manifest


def _runs_of(group: Group, job: Job) -> tuple[tuple[ListedRun, ...], NotRun | None]:
    """Execute the runs of a group; without any, the reason."""
    if group.skip is not None:
        return (), NotRun(kind=NotRunKind.SKIPPED, detail=group.skip)
    require_no_ranks(group)
    settings = _choose_settings(group, job)
    if isinstance(settings, NotRun):
        return (), settings
    runs = []
    try:
        for planned in group.runs:
            out = group.directory / planned.run_id
            runs.append(_listed(planned, execute_planned(planned, out, group, job, settings)))
    except DataUnavailable as error:
        return (), NotRun(kind=NotRunKind.NO_DATA, detail=str(error))
    return tuple(runs), None


def _choose_settings(group: Group, job: Job) -> dict[str, Any] | NotRun:
    """What the sweep or tuning chose, by dotted key of a run configuration; or why nothing was.

    This is part of the job: it often takes less time than another start of torch.
    """
    if group.sweep is not None:
        return chosen_settings(group, sweep_group(group, say=job.say))
    if group.tuning is None:
        return {}
    found = tuning.find_rate(group, job)
    return found.not_run or dict(found.chosen)


def _listed(planned: PlannedRun, card: RunCard) -> ListedRun:
    return ListedRun(
        id=planned.run_id,
        seed=planned.seed,
        workers=planned.workers,
        outcome=card.outcome,
        history_sha256=card.history_sha256,
    )


def _remove_unplanned(group: Group) -> None:
    """Remove runs of an earlier configuration, which would be taken for results of this one."""
    planned = {run.run_id for run in group.runs}
    for path in group.directory.glob("n*-s*-*"):
        if path.is_dir() and path.name not in planned:
            shutil.rmtree(path)
