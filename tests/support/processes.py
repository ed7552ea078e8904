"""Looking at other processes, which may end between any two looks."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil
from waiting import PATIENCE, until


def command_line(process: psutil.Process) -> list[str]:
    """The arguments that a process was started with; none once it has ended."""
    with suppress(psutil.NoSuchProcess):  # a zombie too
        return process.cmdline()
    return []


def below(pid: int, argument: str) -> list[psutil.Process]:
    """The living processes started by `pid`, directly or not, that were given `argument`."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(pid).children(recursive=True)
        return [child for child in children if argument in command_line(child)]
    return []


def environment(process: psutil.Process) -> dict[str, str]:
    """The environment that a process was started with; empty once it has ended."""
    with suppress(psutil.NoSuchProcess):
        return process.environ()
    return {}


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended. An orphan stays a zombie where nobody collects its status."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_ended(processes: Iterable[psutil.Process]) -> None:
    """Wait for all of them, children of ours or not."""
    watched = list(processes)
    until(lambda: all(map(ended, watched)))


def kill_tree(process: subprocess.Popen[str]) -> None:
    """End a process that we started and all below it, whatever state they are in."""
    if process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
    process.wait(PATIENCE)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of the loopback that the kernel gives to nobody else within the block.

    Nobody listens there; a server that sets SO_REUSEADDR, as all do, can.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
