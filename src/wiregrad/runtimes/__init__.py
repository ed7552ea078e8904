"""Runtimes: what computes gradients, moves messages between workers and server, and keeps time.

All of them run the same methods. Importing the package registers the configurations of all
runtimes (`settings`). It imports `problems`, `methods`, `comm` and the rooms below them, and
nothing of `runs`: it knows no files and no run configuration.
"""

from wiregrad.runtimes import delayed, simulated
from wiregrad.runtimes.asynchronous import settings as asynchronous_settings
from wiregrad.runtimes.distributed import settings as distributed_settings
from wiregrad.runtimes.parameter_server import settings as parameter_server_settings

__all__ = [
    "asynchronous_settings",
    "delayed",
    "distributed_settings",
    "parameter_server_settings",
    "simulated",
]
