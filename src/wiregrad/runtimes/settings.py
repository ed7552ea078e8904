"""The section `runtime` of a run configuration: what every runtime's settings have in common.

Each runtime registers a settings class of its own beside its code, and builds itself from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic

from wiregrad.comm.accounting import Convention
from wiregrad.core.registry import Registry
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import Runtime

PositiveCount = Annotated[int, pydantic.Field(gt=0, strict=True)]
Count = Annotated[int, pydantic.Field(ge=0, strict=True)]


class Processes(StrEnum):
    """Which processes a run has, besides those of a pool."""

    ONE = "one"
    """The one that executes it."""
    RANKS = "ranks"
    """One per worker, started together by `wiregrad launch` or torchrun."""
    SERVED = "served"
    """The one that executes it, which is the server, and one per worker, which it starts."""


@dataclass(frozen=True, kw_only=True)
class RuntimeSpec(ABC):
    """Base of the runtimes' settings."""

    name: ClassVar[str]
    processes: ClassVar[Processes] = Processes.ONE
    pooled: ClassVar[bool] = False
    """Whether the processes of a pool can share the gradients: all workers' are taken at once."""
    synchronous: ClassVar[bool] = False
    """Whether every update has the gradients of all workers at the newest x."""

    workers: PositiveCount
    """n"""

    @abstractmethod
    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """The runtime in this process; raises ConfigError for a method that it cannot run."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the runtime reads: when they change, the run is another one."""
        return ()

    @property
    def tau(self) -> int | None:
        """The largest delay τ, in updates, if a rule gives the workers' delays; else None."""
        return None


@dataclass(frozen=True, kw_only=True)
class Staleness:
    """What staleness a server allows."""

    bound: Count | None = None
    """No gradient is applied more than so many updates after x was read: fast workers wait."""


registry: Registry[RuntimeSpec] = Registry("runtime")
register = registry.register
