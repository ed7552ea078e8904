"""Starting the n processes of a distributed run on this machine, and watching them."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from wiregrad.core.errors import RuntimeFailure
from wiregrad.runtimes.distributed.exchange import PeerLost
from wiregrad.runtimes.distributed.ranks import LAUNCHED


def launch(arguments: Sequence[str], ranks: int) -> None:
    """Run `python -m wiregrad` with `arguments` as `ranks` processes until all have ended.

    They meet on the loopback at a free port, each with one thread unless OMP_NUM_THREADS says
    otherwise. When one fails, the others are ended. Raises RuntimeFailure, whose message names
    the rank that failed first and why; SystemExit when this process is told to end.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())
    os.environ[LAUNCHED] = "1"
    _silence_torch()
    with tempfile.TemporaryDirectory(prefix="wiregrad_launch_") as reports:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=ranks,
            run_id="wiregrad",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=reports),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "wiregrad", *arguments)
        except ChildFailedError as error:
            raise RuntimeFailure(_root_cause(error.failures)) from None
        except SignalException as error:
            sys.exit(128 + error.sigval)


def _root_cause(failures: Mapping[int, ProcessFailure]) -> str:
    """One line on the failure that caused the others.

    `failures` is by rank, in the order in which they were noticed, and holds what the launcher
    itself ended (SIGTERM) and the peers of a rank that was lost.
    """
    rank, failure = min(failures.items(), key=lambda item: _consequence(item[1]))
    if failure.exitcode < 0:
        return f"rank {rank} was killed by {failure.signal_name()}; the other ranks were ended"
    return _message(failure).partition(": ")[2] or (
        f"rank {rank} ended with exit status {failure.exitcode}; the other ranks were ended"
    )


def _consequence(failure: ProcessFailure) -> int:
    """How likely another failure has caused this one; 0: surely none has."""
    if failure.exitcode < 0:
        return 3 if failure.signal_name() == "SIGTERM" else 0
    return 2 if _message(failure).startswith(f"{PeerLost.__name__}: ") else 1


def _message(failure: ProcessFailure) -> str:
    """`Class: text` of the error that a rank reported; empty where it reported none."""
    message: Any = failure.error_file_data.get("message")
    return str(message["message"]) if isinstance(message, Mapping) else ""


def loopback() -> str:
    """The name of the loopback's interface, for gloo."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in ("lo", "lo0") if name in names), names[0])


def _silence_torch() -> None:
    # It reports a failed process on a page of lines; one line is enough.
    logger = logging.getLogger("torch.distributed.elastic")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
