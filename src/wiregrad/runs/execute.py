"""Executing a run: the one way from a configuration to a history and a run card on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wiregrad.runs import in_process
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Progress
from wiregrad.runs.pool.pool import Pool
from wiregrad.runs.record import RunCard
from wiregrad.runs.request import RunRequest
from wiregrad.runtimes.settings import Processes


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
) -> RunCard | None:
    """Execute `config` into the folder `out`; a finished run is not executed again.

    Writes `history.parquet`, `timing.parquet` and, last, `run.json`. An interrupted run resumes
    from its checkpoint, except with a parameter server, where it starts afresh. The processes of a
    `pool` share the gradients of a run in one process, to the same bits. `theory`, what the
    learning rate was worked out from, goes to the run card.

    A distributed run is executed by all its ranks together: each of the processes that
    `wiregrad launch` or torchrun has started calls this. Rank 0 writes the files and returns the
    card, the others return None; all other runs return the card.

    Raises ConfigError, also for a distributed run where this process is no rank; DataUnavailable;
    RuntimeFailure when a process that takes part is lost.
    """
    request = RunRequest(
        config=config,
        out=out,
        device=device,
        labels=labels or {},
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        pool=pool,
        theory=theory or {},
    )
    match config.runtime.processes:  # most runs have no use for what the other two import
        case Processes.RANKS:
            from wiregrad.runs import as_rank  # noqa: PLC0415

            return as_rank.run(request)
        case Processes.SERVED:
            from wiregrad.runs import served  # noqa: PLC0415

            return served.run(request)
        case Processes.ONE:
            return in_process.run(request)
