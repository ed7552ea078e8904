"""Preflight: two rounds of every job shape of a scale, to prove that the whole scale would run."""

from __future__ import annotations

import copy
import multiprocessing
import tempfile
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from wiregrad.core.errors import ConfigError, DataUnavailable, RuntimeFailure
from wiregrad.core.names import unknown
from wiregrad.problems import registry
from wiregrad.problems.deep import DeepSpec
from wiregrad.runs import startup
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.record import Outcome
from wiregrad.runtimes.settings import Processes
from wiregrad.runtimes.settings import registry as runtimes
from wiregrad.studies.plan import Group, Plan, PlannedRun
from wiregrad.studies.run_configs import asked_of_theory, assign
from wiregrad.studies.sweep.group import settings_at, task_of
from wiregrad.studies.sweep.run import run_sweep

ROUNDS = 2
_EVALUATED = 16
"""Samples per evaluation, of the training set and of the test set."""
_BATCH = 2
"""Largest batch per worker of a deep problem. The states `[n, d]` keep their full size."""
_STAND_INS = {"tiny_imagenet": "tiny_imagenet50", "wikitext-2": "tiny-shakespeare"}
"""Data sets with inputs of the same form, to check a network on where its own are missing."""


class ShapeState(StrEnum):
    """What a check found."""

    OK = "ok"
    DIVERGED = "diverged"
    NO_DATA = "no data"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class ShapeResult:
    """What the check of one job shape found."""

    shape: str
    state: ShapeState
    detail: str = ""
    """Why there was nothing to run, or what was checked in place of the run itself."""
    seconds: float = 0.0
    dim: int = 0


def shapes(plan: Plan) -> Iterator[tuple[Group, PlannedRun]]:
    """The first run of each (experiment, label, number of workers), with its group."""
    for group in plan.groups:
        seen: set[int] = set()
        for planned in group.runs:
            if planned.workers not in seen:
                seen.add(planned.workers)
                yield group, planned


def checks(
    plan: Plan, experiments: Collection[str] = (), device: str = "cpu", jobs: int = 1
) -> Iterator[ShapeResult]:
    """Check every job shape of a plan, or of some `experiments`, in order, `jobs` at a time.

    Raises ConfigError for an unknown experiment, and RuntimeFailure when one of several processes
    is lost.
    """
    planned = list(dict.fromkeys(group.experiment for group in plan.groups))
    for name in experiments:
        if name not in planned:
            raise ConfigError(f"--experiment: {unknown('experiment', name, planned)}")
    asked = [pair for pair in shapes(plan) if not experiments or pair[0].experiment in experiments]
    pairs = [group for group, _ in asked], [planned for _, planned in asked]
    one = partial(check, device=device)
    if jobs == 1:
        yield from map(one, *pairs)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, startup.load_suite) as pool:
        try:
            yield from pool.map(one, *pairs)
        except BrokenProcessPool:
            raise RuntimeFailure("preflight: a process was lost; take fewer --jobs") from None
        finally:
            pool.shutdown(cancel_futures=True)


def check(group: Group, planned: PlannedRun, device: str = "cpu") -> ShapeResult:
    """Two rounds of one job shape, from data to history.

    A distributed run is simulated here; the check then says so. Raises ConfigError, which names the
    shape.
    """
    name = f"{group.paper}/{group.experiment}/{group.label}/n{planned.workers}"
    if group.skip is not None:
        return ShapeResult(name, ShapeState.SKIPPED, group.skip)
    config = shortened(planned.config)
    if group.tuning is not None:
        smallest = tuple(min(axis.grid) for axis in group.axes)
        for key, value in group.settings_at(smallest).items():
            assign(config, key, value)
    notes = _simulate_ranks(config)
    own, reasons = config["problem"].get("data"), list[str]()
    for data in dict.fromkeys([own, _STAND_INS.get(own, own)]):
        if data is not None:
            config["problem"]["data"] = data
        try:
            found = _checked(name, group, config, device)
        except DataUnavailable as error:
            reasons.append(str(error))
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        else:
            notes += [f"on {data}"] if data != own else []
            return replace(found, detail=", ".join(notes))
    return ShapeResult(name, ShapeState.NO_DATA, reasons[0])


def _simulate_ranks(config: dict[str, Any]) -> list[str]:
    """Put the simulation in place of a runtime of one process per worker; what to say of it."""
    runtime = config["runtime"]
    name = runtime.get("name", "simulated")
    if runtimes[name].processes is not Processes.RANKS:
        return []
    config["runtime"] = {"name": "simulated", "workers": runtime["workers"]}
    return [f"{name} runtime checked by its simulation"]


def _checked(name: str, group: Group, config: dict[str, Any], device: str) -> ShapeResult:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="wiregrad-preflight-") as folder:
        if group.sweep is not None:
            for key, value in _swept(group, Path(folder), device).items():
                assign(config, key, value)
        if asked_of_theory(config):
            from wiregrad.studies import theory_step  # noqa: PLC0415 - slow, seldom used

            config, _ = theory_step.resolved(config, name)
        card = execute(RunConfig.parse(config, name), Path(folder), device=device)
    assert card is not None  # no process is a rank here
    state = ShapeState.OK if card.outcome is Outcome.COMPLETED else ShapeState.DIVERGED
    return ShapeResult(name, state, "", time.perf_counter() - began, card.dim)


def _swept(group: Group, folder: Path, device: str) -> dict[str, Any]:
    """The settings that two rounds of a sweep's first point give its run, by dotted key."""
    task = task_of(group)
    short = replace(
        task,
        multiples=task.multiples[:1],
        k=task.k[:1],
        zeta=task.zeta[:1],
        seeds=task.seeds[:1],
        cap=None,
        stop=replace(task.stop, max_rounds=ROUNDS),
    )
    found = run_sweep(short, folder / "sweep", device)
    first = found.rows[0]
    return found.given | settings_at(group, lr=first["lr"], zeta=first["zeta"], k=first["k"])


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    """The run with a budget of two rounds, small batches, and evaluations on a few samples."""
    short = copy.deepcopy(config)
    short["budget"] = {"steps": ROUNDS}
    short["log"] = short.get("log", {}) | {"every": 1}
    spec = registry[short["problem"]["name"]]
    if issubclass(spec, DeepSpec):
        batch = short["problem"].get("batch", getattr(spec, "batch", _BATCH))
        short["problem"] |= {"eval_train": _EVALUATED, "eval_test": _EVALUATED}
        short["problem"]["batch"] = min(batch, _BATCH)
    return short
