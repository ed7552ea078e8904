"""The settings of `runtime.name: parameter_server`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wiregrad.comm.accounting import Convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import Named
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.compute import ComputeTime, Constant, registry
from wiregrad.runtimes.base import Runtime
from wiregrad.runtimes.settings import Count, Processes, RuntimeSpec, Staleness, register


@register("parameter_server")
@dataclass(frozen=True, kw_only=True)
class ParameterServerSpec(RuntimeSpec):
    """A server in this process, and workers as processes, whose messages it applies on arrival.

    What happens when depends on the machine: two runs differ. A worker process that is lost is
    started anew, with a fresh state, until `restarts` are used up; then the run goes on without it.
    """

    processes = Processes.SERVED

    compute: Annotated[ComputeTime, Named(registry)] = Constant(mean=0.0)
    """Seconds that a worker sleeps for each gradient, on top of its work."""
    staleness: Staleness = Staleness()
    restarts: Count = 4
    """Of all workers together."""

    @property
    def files(self) -> tuple[str, ...]:
        """See RuntimeSpec."""
        return self.compute.files

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """Raises ConfigError: `wiregrad.runs.execute.execute` starts the workers first."""
        raise ConfigError("runtime.name: parameter_server has processes, it is not built in one")
