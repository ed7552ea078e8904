"""The settings of `runtime.name: asynchronous`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from wiregrad.comm.accounting import Convention
from wiregrad.core.registry import Named
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.compute import ComputeTime, Constant, registry
from wiregrad.runtimes.asynchronous.network import LinkModel
from wiregrad.runtimes.asynchronous.runtime import Asynchronous
from wiregrad.runtimes.asynchronous.timed import TimedSynchronous
from wiregrad.runtimes.base import Runtime
from wiregrad.runtimes.settings import RuntimeSpec, Staleness, register


@register("asynchronous")
@dataclass(frozen=True, kw_only=True)
class AsynchronousSpec(RuntimeSpec):
    """Workers on a simulated clock, each with its compute times and its link.

    apply each: the server updates x with every message as it arrives; all: it waits for the
    messages of all workers, a synchronous method on the same clock.
    """

    compute: Annotated[ComputeTime, Named(registry)] = Constant()
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
        clock = self.compute, self.link
        if self.apply == "all":
            return TimedSynchronous(problem, method, seeds, convention, *clock)
        return Asynchronous(problem, method, seeds, convention, *clock, self.staleness)
