"""The settings of `runtime.name: distributed`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.runtimes.settings import Processes, register
from wiregrad.runtimes.simulated import SimulatedSpec


@register("distributed")
@dataclass(frozen=True, kw_only=True)
class DistributedSpec(SimulatedSpec):
    """Synchronous rounds of n processes, started by `wiregrad launch`.

    server rank0: rank 0 is the server; replicated: an all-gather, with a server in every process.
    `build` gives the simulation of these rounds in one process.
    """

    processes = Processes.RANKS
