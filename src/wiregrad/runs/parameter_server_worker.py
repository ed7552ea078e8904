"""The process of a worker of a parameter server: from the run's configuration to its worker.

`wiregrad.runs.served` starts it; see `wiregrad.runtimes.parameter_server.worker` for what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from wiregrad.comm import accounting
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.runs.config import RunConfig
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec
from wiregrad.runtimes.parameter_server.worker import Worker, WorkerAddress, run_worker


def main(config: Mapping[str, Any], address: WorkerAddress) -> None:
    """Be the worker at `address` of the run `config`, until the server says stop or is gone."""
    run_worker(address, lambda: build(RunConfig.parse(config), address))


def build(config: RunConfig, address: WorkerAddress) -> Worker:
    """The worker at `address` of the run `config`; raises ConfigError, DataUnavailable."""
    settings = config.runtime
    if not isinstance(settings, ParameterServerSpec):
        raise ConfigError(f"runtime.name: {settings.name} has no such workers")
    seeds = Seeds(config.seed)
    problem = config.problem.build(settings.workers, seeds, torch.device("cpu"))
    total = config.budget.total_steps(
        problem.steps_per_epoch, problem.samples_per_step, settings.workers
    )
    convention = accounting.convention(config.log.convention)
    return Worker(problem, config.method, seeds, convention, settings.compute, total, address)
