"""Runtimes: what computes gradients, moves messages between workers and server, and keeps time.

All of them run the same methods. Importing the package registers the settings of all runtimes. It
imports `problems`, `methods`, `comm` and the rooms below them, and nothing of `runs`: it knows no
files and no run configuration.
"""

from wiregrad.runtimes.asynchronous.settings import AsynchronousSpec
from wiregrad.runtimes.delayed import DelayedSpec
from wiregrad.runtimes.distributed.settings import DistributedSpec
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec
from wiregrad.runtimes.settings import RuntimeSpec, register, registry
from wiregrad.runtimes.simulated import SimulatedSpec

__all__ = [
    "AsynchronousSpec",
    "DelayedSpec",
    "DistributedSpec",
    "ParameterServerSpec",
    "RuntimeSpec",
    "SimulatedSpec",
    "register",
    "registry",
]
