"""Executing a run in this process: simulated, delayed and asynchronous runtimes."""

from __future__ import annotations

import time

from wiregrad.comm import accounting
from wiregrad.core.devices import pick_device
from wiregrad.core.rng import Seeds
from wiregrad.runs.checkpoint import Checkpointer
from wiregrad.runs.identity import finished, identity
from wiregrad.runs.loop import Loop
from wiregrad.runs.outputs import write_outputs
from wiregrad.runs.record import RunCard
from wiregrad.runs.request import RunRequest


def run(request: RunRequest) -> RunCard:
    """Execute the run and write its files; see `wiregrad.runs.execute.execute`."""
    config = request.config
    card = finished(request.out, config)
    if card is not None:
        return card
    began = time.perf_counter()
    device = pick_device(request.device)
    seeds = Seeds(config.seed)
    problem = config.problem.build(config.runtime.workers, seeds, device)
    if request.pool is not None and config.runtime.pooled:
        problem = request.pool.share(config, problem)
    convention = accounting.convention(config.log.convention)
    runtime = config.runtime.build(problem, config.method, seeds, convention)
    checkpointer = Checkpointer(request.out, identity(config), request.checkpoint_seconds)
    loop = Loop(config, problem, runtime, checkpointer, request.progress)
    loop.run()
    wall = time.perf_counter() - began
    card = write_outputs(request, loop, device=str(device), wall_seconds=wall)
    checkpointer.clear()
    return card
