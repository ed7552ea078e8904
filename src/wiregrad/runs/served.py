"""Executing runs of a parameter server, with its workers as processes on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from wiregrad.comm import accounting
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.runs import execute as experiment
from wiregrad.runs import parameter_server_worker, record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Loop, Progress
from wiregrad.runtimes.parameter_server.runtime import ParameterServer
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec
from wiregrad.runtimes.parameter_server.worker_pool import WorkerPool
from wiregrad.runtimes.partial import partial_form


def execute(
    config: RunConfig,
    spec: ParameterServerSpec,
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> record.RunCard:
    """Serve the run `config`, on the CPU; leaves what `wiregrad.runs.execute.execute` leaves.

    There are no checkpoints: what happened when cannot be had again, and a run that is cut off is
    begun anew. Raises ConfigError, DataUnavailable, RuntimeFailure.
    """
    began = time.perf_counter()
    if spec.workers > 1:
        partial_form(config.method)  # before anything is started
    seeds, cpu = Seeds(config.seed), torch.device("cpu")
    problem = config.problem.build(spec.workers, seeds, cpu)
    if problem.state_dict():
        raise ConfigError(
            f"problem.name: {config.problem.name} has batch-norm, whose running statistics stay "
            "with the workers; runtime.name: parameter_server has none, use asynchronous"
        )
    convention = accounting.convention(config.log.convention)
    command = partial(parameter_server_worker.main, config.resolved())
    with WorkerPool(command, spec.workers, preload=[parameter_server_worker.__name__]) as workers:
        runtime = ParameterServer(problem, config.method, seeds, convention, spec, workers)
        runtime.wait_for_workers()
        loop = Loop(config, problem, runtime, None, progress)
        loop.run()
        runtime.finish()
        wall = time.perf_counter() - began
        return experiment.leave(
            config, out, loop, "cpu", wall, labels or {}, messages=runtime.messages
        )
