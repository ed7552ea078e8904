"""The section `runtime` of a run configuration: which runtime, how many workers, and its clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import pydantic

from wiregrad.comm.accounting import Convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import Named, Registry
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.base import Problem
from wiregrad.runtimes import delays
from wiregrad.runtimes.asynchronous import compute as times
from wiregrad.runtimes.asynchronous.network import LinkModel

if TYPE_CHECKING:
    from wiregrad.runtimes.base import Runtime

Workers = Annotated[int, pydantic.Field(gt=0, strict=True)]
Bound = Annotated[int, pydantic.Field(ge=0, strict=True)]


@dataclass(frozen=True, kw_only=True)
class RuntimeSpec(ABC):
    """Base of the runtimes' configurations."""

    name: ClassVar[str]
    pooled: ClassVar[bool] = False
    """Whether the processes of a pool can share the gradients: all workers' are taken at once."""
    synchronous: ClassVar[bool] = False
    """Whether every update has the gradients of all workers at the newest x."""

    workers: Workers

    @abstractmethod
    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """The runtime in this process; raises ConfigError for a method that it cannot run."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the runtime reads: the run is another one when they change."""
        return ()

    @property
    def tau(self) -> int | None:
        """The largest delay τ, in updates, if a rule gives the workers' delays; else None."""
        return None


registry: Registry[RuntimeSpec] = Registry("runtime")
register = registry.register


@register("simulated")
@dataclass(frozen=True, kw_only=True)
class SimulatedSpec(RuntimeSpec):
    """Synchronous rounds of n workers on one device."""

    pooled = True
    synchronous = True

    server: Literal["rank0", "replicated"] = "rank0"
    """Of `distributed`; without effect here."""

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """See RuntimeSpec."""
        from wiregrad.runtimes.simulated import Simulated

        return Simulated(problem, method, seeds, convention)


@register("distributed")
@dataclass(frozen=True, kw_only=True)
class DistributedSpec(SimulatedSpec):
    """Synchronous rounds of n processes (`wiregrad launch`); in one process, their simulation.

    server rank0: rank 0 is the server; replicated: an all-gather, with a server in every process.
    """


@register("delayed")
@dataclass(frozen=True, kw_only=True)
class DelayedSpec(RuntimeSpec):
    """Rounds in which worker i has read x a given number of updates ago, at most τ."""

    delay: Annotated[delays.Delay, Named(delays.registry)] = delays.Constant()

    @property
    def tau(self) -> int:
        """See RuntimeSpec."""
        return self.delay.tau

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """See RuntimeSpec."""
        from wiregrad.runtimes.delayed import Delayed

        return Delayed(problem, method, seeds, convention, self.delay)


@dataclass(frozen=True, kw_only=True)
class Staleness:
    """What staleness a server allows."""

    bound: Bound | None = None
    """No gradient is applied more than so many updates after x was read: fast workers wait."""


@register("asynchronous")
@dataclass(frozen=True, kw_only=True)
class AsynchronousSpec(RuntimeSpec):
    """Workers on a simulated clock, each with its compute times and its link.

    apply each: the server updates x with every message as it arrives; all: it waits for the
    messages of all workers, a synchronous method on the same clock.
    """

    compute: Annotated[times.ComputeTime, Named(times.registry)] = times.Constant()
    link: LinkModel = LinkModel()
    staleness: Staleness = Staleness()
    apply: Literal["each", "all"] = "each"

    @property
    def files(self) -> tuple[str, ...]:
        """See RuntimeSpec."""
        return self.compute.files

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """See RuntimeSpec."""
        from wiregrad.runtimes.asynchronous import clocked
        from wiregrad.runtimes.asynchronous import runtime as asynchronous

        kind = clocked.Clocked if self.apply == "all" else asynchronous.Asynchronous
        return kind(problem, method, seeds, convention, self)


@register("parameter_server")
@dataclass(frozen=True, kw_only=True)
class ParameterServerSpec(RuntimeSpec):
    """A server in this process, and workers as processes, which it hears as they come.

    What happens when depends on the machine: two runs are not alike. A worker that is lost is
    started anew, with a fresh state, until `restarts` are used up; the run goes on without it.
    """

    compute: Annotated[times.ComputeTime, Named(times.registry)] = times.Constant(mean=0.0)
    """Seconds that a worker sleeps for each gradient, on top of its work."""
    staleness: Staleness = Staleness()
    restarts: Bound = 4
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
