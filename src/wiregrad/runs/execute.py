"""Executing runs: from a configuration to a history and a run card on disk."""

from __future__ import annotations

import math
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from wiregrad.comm import accounting
from wiregrad.core.errors import RecordError
from wiregrad.core.files import sha256_file
from wiregrad.core.rng import Seeds
from wiregrad.problems.base import Evaluation
from wiregrad.runs import record
from wiregrad.runs.checkpoint import Checkpointer
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Loop, Progress
from wiregrad.runs.pool.pool import Pool
from wiregrad.runs.provenance import method_code_sha256
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec

_PACKAGES = ("wiregrad", "torch", "numpy", "pyarrow", "pandas")


def execute(
    config: RunConfig,
    out: Path,
    *,
    device: str = "auto",
    labels: Mapping[str, str] | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
    pool: Pool | None = None,
    theory: Mapping[str, Any] | None = None,
) -> record.RunCard:
    """Run `config` in this process into `out`; a finished run is not run again.

    Leaves `history.parquet`, `timing.parquet` and, last, `run.json`. An interrupted run goes on
    from its checkpoint. The processes of a `pool` share the gradients, to the same bits. What the
    learning rate was worked out from, `theory`, goes to the run card. Raises ConfigError,
    DataUnavailable, and RuntimeFailure when the pool loses a process.
    """
    card = finished(out, config)
    if card is not None:
        return card
    if isinstance(config.runtime, ParameterServerSpec):
        from wiregrad.runs import (  # noqa: PLC0415 - it starts processes, others need not load it
            served,
        )

        return served.execute(config, config.runtime, out, labels=labels, progress=progress)
    began = time.perf_counter()
    where = pick_device(device)
    seeds = Seeds(config.seed)
    problem = config.problem.build(config.runtime.workers, seeds, where)
    if pool is not None and config.runtime.pooled:
        problem = pool.share(config, problem)
    convention = accounting.convention(config.log.convention)
    runtime = config.runtime.build(problem, config.method, seeds, convention)
    keeper = Checkpointer(out, identity(config), checkpoint_seconds)
    loop = Loop(config, problem, runtime, keeper, progress)
    loop.run()
    wall = time.perf_counter() - began
    card = leave(config, out, loop, str(where), wall, labels or {}, theory=theory)
    keeper.clear()
    return card


def leave(
    config: RunConfig,
    out: Path,
    loop: Loop,
    device: str,
    wall_seconds: float,
    labels: Mapping[str, str],
    messages: Mapping[str, int] | None = None,
    theory: Mapping[str, Any] | None = None,
) -> record.RunCard:
    """Write a finished loop's history, timing and run card."""
    record.write_table(out / record.HISTORY, loop.rows)
    record.write_table(out / record.TIMING, loop.timing, record.TIMING_SCHEMA)
    choices = out / record.CHOICES
    choices.unlink(missing_ok=True)
    if loop.choices:
        record.write_choices(choices, torch.stack(loop.choices).numpy())
    staleness = out / record.STALENESS
    staleness.unlink(missing_ok=True)
    if loop.applied:
        rows = (gradient._asdict() for gradient in loop.applied)
        record.write_table(staleness, rows, record.STALENESS_SCHEMA)
    card = record.RunCard(
        schema=record.SCHEMA_VERSION,
        config=config.resolved(),
        config_sha256=config.sha256(),
        code_sha256=code_sha256(config),
        git_revision=git_revision(),
        versions=versions(),
        device=device,
        data=dict(loop.problem.provenance),
        seed=config.seed,
        dim=loop.problem.dim,
        steps=loop.done,
        wall_seconds=wall_seconds,
        peak_memory_bytes=peak_memory(),
        control_bytes=loop.runtime.control_bytes,
        outcome=loop.outcome,
        history_sha256=sha256_file(out / record.HISTORY),
        choices_sha256=sha256_file(choices) if loop.choices else None,
        messages=dict(messages or {}),
        staleness_sha256=sha256_file(staleness) if loop.applied else None,
        final=_finite(loop.final),
        labels=dict(labels),
        theory=dict(theory or {}),
    )
    record.write_card(out / record.CARD, card)
    return card


def code_sha256(config: RunConfig) -> str:
    """Digest of the code of the run's method."""
    return method_code_sha256(config.resolved()["method"], config.plugins)


def identity(config: RunConfig) -> str:
    """What a checkpoint must share with a run that goes on from it."""
    return f"{config.sha256()}/{code_sha256(config)}"


def finished(out: Path, config: RunConfig) -> record.RunCard | None:
    """The card of the run in `out` if it is complete, intact, of this configuration and code."""
    try:
        card = record.read_card(out / record.CARD)
        intact = sha256_file(out / record.HISTORY) == card.history_sha256
    except (RecordError, OSError):
        return None
    same = f"{card.config_sha256}/{card.code_sha256}" == identity(config)
    return card if intact and same else None


def pick_device(name: str) -> torch.device:
    """`auto`: the accelerator where there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def git_revision() -> str:
    """Revision of the source tree, `-dirty` where it was changed; `unknown` outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    command += ["--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _finite(measured: Evaluation) -> dict[str, float]:
    figures: dict[str, Any] = vars(measured)
    return {name: value for name, value in figures.items() if math.isfinite(value)}
