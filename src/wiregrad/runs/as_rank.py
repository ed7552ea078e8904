"""Executing a distributed run: what each of its n processes does."""

from __future__ import annotations

import time

import torch

from wiregrad.comm import accounting
from wiregrad.core.rng import Seeds
from wiregrad.runs.identity import finished, identity
from wiregrad.runs.loop import Loop
from wiregrad.runs.outputs import write_outputs
from wiregrad.runs.rank_checkpoint import RankCheckpointer
from wiregrad.runs.record import RunCard
from wiregrad.runs.request import RunRequest
from wiregrad.runtimes.distributed import ranks
from wiregrad.runtimes.distributed.exchange import Exchange
from wiregrad.runtimes.distributed.runtime import Distributed


def run(request: RunRequest) -> RunCard | None:
    """Take part in the run as the rank that the environment names.

    Rank 0 writes the files and returns the run card, the others return None. An interrupted run
    resumes from the last checkpoint that all ranks wrote. Raises ConfigError, also where the
    environment names no rank; DataUnavailable; PeerLost.
    """
    config = request.config
    with ranks.joined(config.runtime.workers, request.device) as (exchange, device):
        card = finished(request.out, config) if exchange.rank == 0 else None
        if exchange.order(card is not None):
            return card
        checkpointer = RankCheckpointer(
            request.out, identity(config), request.checkpoint_seconds, exchange
        )
        began = time.perf_counter()
        loop = _loop(request, exchange, device, checkpointer)
        loop.run()
        if exchange.rank == 0:
            wall = time.perf_counter() - began
            card = write_outputs(request, loop, device=str(device), wall_seconds=wall)
        checkpointer.clear()
        return card


def _loop(
    request: RunRequest, exchange: Exchange, device: torch.device, checkpointer: RankCheckpointer
) -> Loop:
    config = request.config
    seeds = Seeds(config.seed)
    problem = config.problem.build(config.runtime.workers, seeds, device)
    convention = accounting.convention(config.log.convention)
    replicated = getattr(config.runtime, "server", "rank0") == "replicated"
    runtime = Distributed(
        problem, config.method, seeds, convention, exchange, replicated=replicated
    )
    progress = request.progress if runtime.leads else None
    return Loop(config, problem, runtime, checkpointer, progress)
