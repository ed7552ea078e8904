"""Executing a run with a parameter server: this process serves, its workers are processes."""

from __future__ import annotations

import time
from functools import partial

import torch

from wiregrad.comm import accounting
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.runs import parameter_server_worker
from wiregrad.runs.identity import finished
from wiregrad.runs.loop import Loop
from wiregrad.runs.outputs import write_outputs
from wiregrad.runs.record import RunCard
from wiregrad.runs.request import RunRequest
from wiregrad.runtimes.asynchronous.server import partial_form
from wiregrad.runtimes.parameter_server.runtime import ParameterServer
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec
from wiregrad.runtimes.parameter_server.worker_pool import WorkerPool


def run(request: RunRequest) -> RunCard:
    """Serve the run on the CPU of this machine, and write its files.

    There are no checkpoints: the order in which messages arrived cannot be repeated, so a run that
    was interrupted starts afresh. Raises ConfigError, DataUnavailable, RuntimeFailure.
    """
    config, settings = request.config, request.config.runtime
    assert isinstance(settings, ParameterServerSpec)
    card = finished(request.out, config)
    if card is not None:
        return card
    began = time.perf_counter()
    if settings.workers > 1:
        partial_form(config.method)  # raises before any process is started
    seeds, cpu = Seeds(config.seed), torch.device("cpu")
    problem = config.problem.build(settings.workers, seeds, cpu)
    if problem.state_dict():
        raise ConfigError(
            f"problem.name: {config.problem.name} has batch-norm, whose running statistics stay "
            "with the workers; runtime.name: parameter_server has none, use asynchronous"
        )
    convention = accounting.convention(config.log.convention)
    command = partial(parameter_server_worker.main, config.resolved())
    with WorkerPool(
        command, settings.workers, preload=[parameter_server_worker.__name__]
    ) as workers:
        runtime = ParameterServer(problem, config.method, seeds, convention, settings, workers)
        runtime.wait_for_workers()
        loop = Loop(config, problem, runtime, None, request.progress)
        loop.run()
        runtime.finish()
        wall = time.perf_counter() - began
        return write_outputs(
            request, loop, device="cpu", wall_seconds=wall, messages=runtime.messages
        )
