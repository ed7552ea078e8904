"""A pool of processes, one thread each, that share the gradients of one run.

The process that drives the run is one of them. Every process builds the same problem from the same
configuration and seeds; x, the gradients `[n, d]` and the scores of an evaluation lie in memory
that all of them map. The run alone fixes which workers are computed together and in which order
terms are summed (`wiregrad.problems.base.Divisible`). A history therefore has the same bytes
whatever the size of the pool, and the size is not part of a run's configuration.

The other processes, the members, wait for orders on a socket without using a core. They end when it
closes, so they never outlive the driving process. A member that dies or fails ends the run with one
line. Nothing is pickled: orders are JSON, tensors are shared memory.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch

from wiregrad.core.errors import ConfigError, RuntimeFailure
from wiregrad.problems.base import Divisible, Evaluation, Problem
from wiregrad.runs.config import RunConfig
from wiregrad.runs.pool.shared import SharedTensors, assign_portions, compute, score

_log = logging.getLogger("wiregrad.runs.pool.pool")

MESSAGE_BYTES = 1 << 16
"""Largest size of an order or an answer, in bytes."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Of a member, set before it imports torch: one thread, which never spins."""


def parse_size(text: str) -> int:
    """The number of processes that `--processes` means; `auto`: one per available core."""
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigError(f"--processes: {text!r}, allowed: auto or a whole number from 1")


@dataclass
class Member:
    """A process of the pool other than the driving one, and the socket to it."""

    rank: int
    process: subprocess.Popen[bytes]
    socket: socket.socket

    @staticmethod
    def start(rank: int) -> Member:
        """Start a process that waits for orders. Ctrl-C on the terminal does not reach it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "wiregrad.runs.pool.member", str(theirs.fileno())]
            process = subprocess.Popen(
                command,
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        return Member(rank, process, ours)

    def send(self, order: Mapping[str, Any], fd: int | None = None) -> None:
        """Send an order, and with it an open file; raises RuntimeFailure."""
        fds = [] if fd is None else [fd]
        try:
            socket.send_fds(self.socket, [json.dumps(order).encode()], fds)
        except ConnectionError:
            raise self._lost() from None

    def wait(self) -> None:
        """Wait until the last order is carried out; raises RuntimeFailure where it failed."""
        try:
            packet = self.socket.recv(MESSAGE_BYTES)
        except ConnectionError:
            packet = b""
        if not packet:
            raise self._lost()
        error = json.loads(packet)["error"]
        if error is not None:
            raise RuntimeFailure(f"{self._name()} failed: {error}; the run was ended")

    def _lost(self) -> RuntimeFailure:
        status = self.process.wait()
        how = f"ended with exit status {status}"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        return RuntimeFailure(f"{self._name()} {how}; the run was ended")

    def _name(self) -> str:
        return f"process {self.rank} of the pool (pid {self.process.pid})"

    def end(self) -> None:
        """Close the socket and kill the process, which has nothing to save."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


@dataclass
class Pool:
    """`size` processes for the runs that this process executes, one after the other.

    Members start with the first run that can use them. On leaving the context they are ended.
    """

    size: int
    members: list[Member] = field(default_factory=list)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self.members:
            member.end()
        self.members.clear()

    def share(self, config: RunConfig, problem: Problem) -> Problem:
        """`problem`, built from `config`, with its gradients and evaluations shared by the pool.

        `problem` itself where they cannot be: it is not divisible, not on the CPU, or `size` is 1.
        """
        if self.size == 1 or not isinstance(problem, Divisible):
            return problem
        if problem.device.type != "cpu":
            _log.warning("one process computes on %s: a pool is for the CPU", problem.device)
            return problem
        self.members += [Member.start(i) for i in range(len(self.members) + 1, self.size)]
        return Pooled(self, config, problem)

    def send(self, order: Mapping[str, Any]) -> None:
        """Send an order to all members; raises RuntimeFailure."""
        for member in self.members:
            member.send(order)

    def wait(self) -> None:
        """Wait until all members have carried out the last order; raises RuntimeFailure."""
        open_ = {member.socket: member for member in self.members}
        while open_:
            for ready in select.select(list(open_), [], [])[0]:
                open_.pop(ready).wait()


class Pooled(Problem):
    """A problem whose gradients and evaluations all processes of a pool compute."""

    def __init__(self, pool: Pool, config: RunConfig, problem: Divisible) -> None:
        self._pool, self._inner = pool, problem
        self._shared = SharedTensors(problem)
        for name, value in problem.state_dict().items():
            self._shared.state[name].copy_(value)
        try:
            order = {"do": "build", "config": config.resolved(), "size": pool.size}
            for member in pool.members:
                member.send(order | {"rank": member.rank}, self._shared.fd)
        finally:
            self._shared.close()
        problem.bind_parameters(self._shared.x)
        problem.bind_state(self._shared.state)
        self._mine = assign_portions(len(problem.worker_groups()), pool.size)[0]
        self.layout, self.provenance = problem.layout, problem.provenance
        self.workers, self.device, self.dtype = problem.workers, problem.device, problem.dtype
        self.train_size, self.steps_per_epoch = problem.train_size, problem.steps_per_epoch
        self.samples_per_step, self.joint_state = problem.samples_per_step, problem.joint_state
        pool.wait()

    def x0(self) -> torch.Tensor:
        """See Problem."""
        return self._inner.x0()

    def gradient_buffer(self, rows: int) -> torch.Tensor:
        """See Problem: the memory that all processes write to."""
        return self._shared.gradients[:rows]

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem; the workers must be all, in order. Raises RuntimeFailure."""
        if len(workers) != self.workers:
            raise ValueError("a pool computes the gradients of all workers at once")
        self._shared.x.copy_(x)
        self._pool.send({"do": "gradients", "step": step})
        compute(self._inner, self._shared, step, self._mine)
        self._pool.wait()
        if out.data_ptr() != self._shared.gradients.data_ptr():
            out.copy_(self._shared.gradients)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem. Raises RuntimeFailure."""
        self._shared.x.copy_(x)
        self._pool.send({"do": "score"})
        score(self._inner, self._shared, 0, self._pool.size)
        self._pool.wait()
        return self._inner.combine_chunks(self._shared.scores)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """See Problem: the state of all workers is in the memory that all processes share."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """See Problem."""
        self._inner.load_state_dict(state)
