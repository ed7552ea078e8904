"""Executing runs of a parameter server, with its workers as processes on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch

from wiregrad import bits, experiment, record
from wiregrad.config import RunConfig
from wiregrad.errors import ConfigError
from wiregrad.loop import Loop, Progress
from wiregrad.rng import Seeds
from wiregrad.runtimes.crew import Crew
from wiregrad.runtimes.parameter_server import ParameterServer
from wiregrad.runtimes.partial import partial_form
from wiregrad.runtimes.specs import ParameterServerSpec


def execute(
    config: RunConfig,
    spec: ParameterServerSpec,
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> record.RunCard:
    """Serve the run `config`, on the CPU; leaves what `wiregrad.experiment.execute` leaves.

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
    convention = bits.convention(config.log.convention)
    with Crew(config.resolved(), spec.workers) as crew:
        runtime = ParameterServer(problem, config.method, seeds, convention, spec, crew)
        runtime.meet()
        loop = Loop(config, problem, runtime, None, progress)
        loop.run()
        runtime.finish()
        wall = time.perf_counter() - began
        return experiment.leave(
            config, out, loop, "cpu", wall, labels or {}, messages=runtime.messages
        )
