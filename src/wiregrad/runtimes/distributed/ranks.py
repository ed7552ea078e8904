"""One of the n processes of a distributed run: how it joins, where it computes, how it fails."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist

from wiregrad.core.devices import pick_device
from wiregrad.core.errors import ConfigError, WiregradError
from wiregrad.runtimes.distributed.exchange import Exchange, PeerLost

PEER_TIMEOUT = 300.0
"""Seconds that a rank waits for a silent peer; rank 0 must evaluate in less.

A peer that ends is noticed at once. The environment variable WIREGRAD_PEER_TIMEOUT has precedence.
"""
LAUNCHED = "WIREGRAD_LAUNCHED"
"""Set by `wiregrad launch`, which prints the one line on a failure in place of its ranks."""


@dataclass(frozen=True)
class World:
    """What the launcher says in environment variables, as `torchrun` documents them."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    @staticmethod
    def from_environment(workers: int) -> World:
        """The world of this process; raises ConfigError unless it has `workers` processes."""
        try:
            rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        except (KeyError, ValueError) as error:
            state = "not set" if isinstance(error, KeyError) else "no numbers"
            raise ConfigError(
                "runtime.name: distributed runs one process per worker: start it with "
                f"`wiregrad launch -n {workers} CONFIG` or torchrun, or simulate it in one process "
                f"with runtime.name: simulated (RANK and WORLD_SIZE are {state})"
            ) from None
        if size != workers:
            raise ConfigError(
                f"runtime.workers: {workers}, allowed: {size}, the processes started (WORLD_SIZE)"
            )
        local = int(os.environ.get("LOCAL_RANK", rank))
        return World(rank, size, local, int(os.environ.get("LOCAL_WORLD_SIZE", size)))


@contextmanager
def joined(workers: int, device: str) -> Iterator[tuple[Exchange, torch.device]]:
    """Within the block this process is a rank; yields its exchange and the device it computes on.

    Messages travel by the accelerator's own backend (NCCL on CUDA) where each process of the
    machine has an accelerator to itself, else by gloo from the CPU.
    """
    _end_with_launcher()
    with _reporting():
        world = World.from_environment(workers)
        where, carrier = _place(device, world)
        _init(world, carrier)
        yield Exchange(carrier), where
        dist.destroy_process_group()


def peer_timeout() -> float:
    """Seconds that a rank waits for a silent peer; raises ConfigError."""
    given = os.environ.get("WIREGRAD_PEER_TIMEOUT", str(PEER_TIMEOUT))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"WIREGRAD_PEER_TIMEOUT: {given!r}, allowed: seconds above 0")
    return seconds


def _init(world: World, carrier: torch.device) -> None:
    backend = "gloo"
    if carrier.type != "cpu":
        torch.accelerator.set_device_index(carrier.index)
        backend = f"cpu:gloo,{carrier.type}:{dist.get_default_backend_for_device(carrier)}"
    seconds = peer_timeout()
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PeerLost(
            f"rank {world.rank}: the {world.size} processes did not meet; "
            f"they wait {seconds:g} s for each other ({reason})"
        ) from error


def _place(device: str, world: World) -> tuple[torch.device, torch.device]:
    """The device that a rank computes on, and the one from which its messages are exchanged."""
    cpu = torch.device("cpu")
    count = torch.accelerator.device_count()
    own = count >= world.local_size
    if device == "auto":
        device = str(torch.accelerator.current_accelerator() or cpu) if own else "cpu"
    where = pick_device(device)
    if where.type == "cpu":
        return cpu, cpu
    if ":" not in device:
        where = torch.device(where.type, world.local_rank % count)
    return where, where if own else cpu


@contextmanager
def _reporting() -> Iterator[None]:
    """Within the block a failure is reported to the launcher, where there is one."""
    try:
        yield
    except WiregradError as error:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler  # noqa: PLC0415

        get_error_handler().record_exception(error)
        if LAUNCHED in os.environ:
            sys.exit(2)
        raise


def _end_with_launcher() -> None:
    """Have the kernel end this process when its launcher dies, even by SIGKILL."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent()


def end_with_parent() -> None:
    """Have the kernel (Linux) end this process when the one that started it dies."""
    if sys.platform != "linux":
        return
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
