"""The sweep of a group of a plan: its rows and the point that won, which its runs are then of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wiregrad import data
from wiregrad.core.errors import AllDiverged, ConfigError, DataUnavailable
from wiregrad.core.files import write_json
from wiregrad.runs.environment import git_revision
from wiregrad.runs.provenance import method_code_sha256
from wiregrad.studies.plan import Group
from wiregrad.studies.schema import Sweep
from wiregrad.studies.sweep.advance import Stop
from wiregrad.studies.sweep.rows import Row, best, write
from wiregrad.studies.sweep.task import COMPRESSED, Found, Task, run, with_k

PARTS = "sweep"
"""Folder of finished batches, for a sweep that was interrupted."""

Say = Callable[[str], None]


def task_of(group: Group) -> Task:
    """The sweep that a group's experiment asks for; raises ConfigError where it asks for none."""
    sweep = group.sweep
    if sweep is None:
        raise ConfigError(f"{group.paper}/{group.experiment}: no sweep at scale {group.scale}")
    return Task(
        label=group.label,
        config=group.runs[0].config,
        multiples=tuple(float(m) for m in sweep.axis("multiples", group.label)),
        k=tuple(int(k) for k in sweep.axis("k", group.label)),
        zeta=tuple(float(z) for z in sweep.axis("zeta", group.label)),
        seeds=sweep.seeds or tuple(dict.fromkeys(run.seed for run in group.runs)),
        stop=Stop(sweep.norm, sweep.max_rounds, sweep.max_bits, sweep.prune),
        indexed=sweep.indexed,
        regime=sweep.regime,
    )


def sweep_group(group: Group, device: str = "cpu", say: Say = print) -> dict[str, Any]:
    """Sweep `group`; write sweep.parquet, then sweep.json, which is returned.

    One that is finished, of this grid and this method's code, is kept as it is. Without the data,
    or with a `skip` of the configuration, there are no rows, and the reason.
    """
    task, where = task_of(group), f"{group.paper}/{group.experiment}/{group.label}"
    plugins = [group.entry.plugin] if group.entry.plugin else []
    identity = f"{group.digest()}/{method_code_sha256(group.entry.method, plugins)}"
    found, why = Found([], {}, {}), group.skip
    if why is None:
        try:
            kept = _finished(group, identity)
            if kept is not None:
                return kept
            found = run(task, group.directory / PARTS, device)
        except DataUnavailable as error:
            why = f"no data: {error}"
    write(group.sweep_file, found.rows)
    outcomes = Counter(row["outcome"] for row in found.rows)
    point = best(found.rows)
    result = {
        "identity": identity,
        "not_run": why,
        "best": point,
        "edge": None if point is None else edges(point, group.sweep, group.label),
        "given": found.given,
        "outcomes": dict(outcomes),
        "git_revision": git_revision(),
        "data": found.data,
    }
    write_json(group.best_file, result)
    _remove(group.directory / PARTS)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    say(f"{where}: {why or f'{len(found.rows)} runs: {counts}'}")
    if point is not None and not point["reached"]:
        say(
            f"warning: {where}: no run reached the tolerance; the best is that of the smallest norm"
        )
    if result["edge"]:
        say(f"warning: {where}: the best is at the grid's edge in {', '.join(result['edge'])}")
    return result


def edges(found: Row, sweep: Sweep | None, label: str) -> list[str]:
    """The axes of more than one value at whose end the best point is."""
    if sweep is None:
        return []
    place = {"multiples": found["multiple"], "k": found["k"], "zeta": found["zeta"]}
    at_end = []
    for name in ("multiples", "k", "zeta"):
        values = sweep.axis(name, label)
        if place[name] is not None and len(values) > 1:
            at_end += [name] if place[name] in (min(values), max(values)) else []
    return at_end


def chosen(group: Group, result: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that won in a sweep, by dotted key of a run configuration.

    Raises DataUnavailable where the sweep was not run for want of data, and AllDiverged.
    """
    if result["not_run"]:
        raise DataUnavailable(str(result["not_run"]).removeprefix("no data: "))
    point = result["best"]
    if point is None:
        raise AllDiverged("every point of the sweep diverged (smaller multiples, or another grid)")
    settings = {"method.lr": point["lr"], **result.get("given", {})}
    if point["zeta"] is not None:
        settings["method.zeta"] = point["zeta"]
    if point["k"] is not None:
        method = with_k(group.runs[0].config["method"], point["k"])
        settings |= {f"method.{key}": method[key] for key in COMPRESSED if key in method}
    return settings


def _finished(group: Group, identity: str) -> dict[str, Any] | None:
    """What sweep.json says, if it is of this sweep and of the data as they are now."""
    try:
        found: dict[str, Any] = json.loads(group.best_file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    same = found.get("identity") == identity and found["not_run"] is None
    name = group.runs[0].config["problem"].get("data")
    if same and name is not None:
        same = found["data"].get("sha256") == data.load(name).digest
    return found if same and group.sweep_file.is_file() else None


def _remove(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink()
    if folder.is_dir():
        folder.rmdir()
