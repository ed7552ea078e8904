"""Executing distributed runs: what each of the n processes does, from a configuration to files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch

from wiregrad.comm import accounting
from wiregrad.core.rng import Seeds
from wiregrad.runs import execute as experiment
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Loop, Progress
from wiregrad.runs.rank_checkpoint import RankCheckpointer
from wiregrad.runtimes.distributed import ranks
from wiregrad.runtimes.distributed.exchange import Exchange
from wiregrad.runtimes.distributed.runtime import Distributed


def execute(
    config: RunConfig,
    out: Path,
    *,
    device: str = "auto",
    labels: Mapping[str, str] | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
) -> record.RunCard | None:
    """Take part in the run `config` as the rank that the environment names.

    To be called by each of n processes that `wiregrad launch`, `torchrun` or the like has started.
    Rank 0 leaves in `out` what `wiregrad.runs.execute.execute` leaves and returns the run card, the
    others return None. An interrupted run goes on from the last checkpoint that all ranks wrote.

    Raises ConfigError, DataUnavailable, PeerLost.
    """
    with ranks.joined(config.runtime.workers, device) as (exchange, where):
        card = experiment.finished(out, config) if exchange.rank == 0 else None
        if exchange.order(card is not None):
            return card
        keeper = RankCheckpointer(out, experiment.identity(config), checkpoint_seconds, exchange)
        began = time.perf_counter()
        loop = _loop(config, exchange, where, keeper, progress)
        loop.run()
        if exchange.rank == 0:
            wall = time.perf_counter() - began
            card = experiment.leave(config, out, loop, str(where), wall, labels or {})
        keeper.clear()
        return card


def _loop(
    config: RunConfig,
    exchange: Exchange,
    device: torch.device,
    keeper: RankCheckpointer,
    progress: Progress | None,
) -> Loop:
    seeds = Seeds(config.seed)
    problem = config.problem.build(config.runtime.workers, seeds, device)
    convention = accounting.convention(config.log.convention)
    replicated = getattr(config.runtime, "server", "rank0") == "replicated"
    runtime = Distributed(
        problem, config.method, seeds, convention, exchange, replicated=replicated
    )
    return Loop(config, problem, runtime, keeper, progress if runtime.leads else None)
