"""The sweep of a group of a plan: its rows, and the best point, whose settings its runs take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wiregrad import data
from wiregrad.core.errors import ConfigError, DataUnavailable, RecordError
from wiregrad.runs.environment import git_revision
from wiregrad.runs.provenance import method_code_sha256
from wiregrad.studies.files import (
    NotRun,
    NotRunKind,
    SweepResult,
    read_sweep,
    write,
)
from wiregrad.studies.plan import Group
from wiregrad.studies.sweep.advance import Stop
from wiregrad.studies.sweep.rows import best_point, write_rows
from wiregrad.studies.sweep.run import SweepOutcome, run_sweep
from wiregrad.studies.sweep.task import COMPRESSED, SweepTask, with_k

PARTS = "sweep"
"""Folder of finished batches, for a sweep that was interrupted."""
Say = Callable[[str], None]


def task_of(group: Group) -> SweepTask:
    """The sweep that a group's experiment asks for; raises ConfigError where it asks for none."""
    sweep = group.sweep
    if sweep is None:
        raise ConfigError(f"{group.paper}/{group.experiment}: no sweep at scale {group.scale}")
    return SweepTask(
        label=group.label,
        config=group.runs[0].config,
        multiples=tuple(float(m) for m in sweep.axis("multiples", group.label)),
        k=tuple(int(k) for k in sweep.axis("k", group.label)),
        zeta=tuple(float(z) for z in sweep.axis("zeta", group.label)),
        seeds=sweep.seeds or tuple(dict.fromkeys(run.seed for run in group.runs)),
        stop=Stop(sweep.norm, sweep.max_rounds, sweep.max_bits, sweep.prune),
        indexed=sweep.indexed,
        regime=sweep.regime,
        cap=sweep.cap,
    )


def sweep_group(group: Group, device: str = "cpu", say: Say = print) -> SweepResult:
    """Sweep `group`; write sweep.parquet, then sweep.json, and return what the latter holds.

    A finished sweep of this grid, of this method's code and of the data as they are now is kept.
    Where the data set is not available, or the configuration says `skip`, there are no rows and the
    result says why. Raises ConfigError.
    """
    task = task_of(group)
    swept, not_run = SweepOutcome([], {}, {}, {}), None
    if group.skip is not None:
        not_run = NotRun(kind=NotRunKind.SKIPPED, detail=group.skip)
    else:
        try:
            kept = _finished(group)
            if kept is not None:
                return kept
            swept = run_sweep(task, group.directory / PARTS, device)
        except DataUnavailable as error:
            not_run = NotRun(kind=NotRunKind.NO_DATA, detail=str(error))
    write_rows(group.sweep_file, swept.rows)
    result = _result(group, swept, not_run)
    write(group.best_file, result)
    _remove(group.directory / PARTS)
    _tell(group, result, say)
    return result


def _result(group: Group, swept: SweepOutcome, not_run: NotRun | None) -> SweepResult:
    best = best_point(swept.rows)
    return SweepResult(
        best=best,
        settled={} if best is None else swept.settled,
        cap=None if group.sweep is None else group.sweep.cap,
        given=swept.given,
        outcomes=Counter(str(row["outcome"]) for row in swept.rows),
        identity=_identity(group),
        git_revision=git_revision(),
        data=swept.data,
        not_run=not_run,
    )


def _tell(group: Group, result: SweepResult, say: Say) -> None:
    """Say how the runs of a sweep ended, and what is to be known of the best point."""
    where = f"{group.paper}/{group.experiment}/{group.label}"
    if result.not_run is not None:
        say(f"{where}: {result.not_run.text}")
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    say(f"{where}: {sum(result.outcomes.values())} runs: {counts}")
    if result.best is not None and not result.best.reached:
        say(
            f"warning: {where}: no run reached the tolerance; the best is that of the smallest norm"
        )
    names = ", ".join(result.edge or ())
    if names and result.cap is None:
        say(f"warning: {where}: the best is at the grid's edge in {names}")
    elif names:
        say(f"warning: {where}: sweep not settled after {result.cap} values in {names}")


def chosen_settings(group: Group, result: SweepResult) -> dict[str, Any] | NotRun:
    """The hyper-parameters that won a sweep, by dotted key of a run configuration.

    The reason instead where the sweep was not run, or every point of it diverged.
    """
    if result.not_run is not None:
        return result.not_run
    if result.best is None:
        detail = "every point of the sweep diverged (smaller multiples, or another grid)"
        return NotRun(kind=NotRunKind.DIVERGED, detail=detail)
    best = result.best
    return result.given | settings_at(group, lr=best.lr, zeta=best.zeta, k=best.k)


def settings_at(group: Group, *, lr: float, zeta: float | None, k: int | None) -> dict[str, Any]:
    """The hyper-parameters of one point of a sweep, by dotted key of a run configuration."""
    settings: dict[str, Any] = {"method.lr": lr}
    if zeta is not None:
        settings["method.zeta"] = zeta
    if k is not None:
        method = with_k(group.runs[0].config["method"], k)
        settings |= {f"method.{key}": method[key] for key in COMPRESSED if key in method}
    return settings


def _identity(group: Group) -> str:
    """Digests of a group's grid and of its method's code."""
    plugins = [group.entry.plugin] if group.entry.plugin else []
    return f"{group.digest()}/{method_code_sha256(group.entry.method, plugins)}"


def _finished(group: Group) -> SweepResult | None:
    """What sweep.json holds, if it is of this sweep and of the data as they are now.

    Raises DataUnavailable.
    """
    try:
        found = read_sweep(group.best_file)
    except RecordError:
        return None
    same = found.identity == _identity(group) and found.not_run is None
    name = group.runs[0].config["problem"].get("data")
    if same and name is not None:
        same = found.data.get("sha256") == data.load(name).digest
    return found if same and group.sweep_file.is_file() else None


def _remove(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink()
    if folder.is_dir():
        folder.rmdir()
