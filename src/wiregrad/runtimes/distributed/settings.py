"""The settings of `runtime.name: distributed`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.runtimes.settings import register
from wiregrad.runtimes.simulated import SimulatedSpec


@register("distributed")
@dataclass(frozen=True, kw_only=True)
class DistributedSpec(SimulatedSpec):
    """Synchronous rounds of n processes (`wiregrad launch`); in one process, their simulation.

    server rank0: rank 0 is the server; replicated: an all-gather, with a server in every process.
    """
