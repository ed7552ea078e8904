"""A pool of processes, one thread each, that share the gradients of one run.

The process that drives the run is one of them. Every member builds the same problem from the same
configuration and seeds; x, the gradients `[n, d]` and the scores of an evaluation lie in memory
that all of them map. Which workers are computed together, and in which order is summed, is fixed
by the run (`wiregrad.problems.base.Divisible`), so that a history has the same bytes whatever the
size of the pool; the size is no part of a run's configuration.

Members wait for orders on a socket, at no cost, and end when it closes: however the driving process
ends, they end too, and their memory with them. One that dies or fails ends the run with one line.
Nothing is pickled: orders are JSON, data are memory.
"""

from __future__ import annotations

import json
import logging
import mmap
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

_log = logging.getLogger("wiregrad.runs.pool.pool")

MESSAGE_BYTES = 1 << 16
"""An order or an answer is a packet of at most so many bytes."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Of a member, from before it imports torch: one thread, which never spins."""
ALIGNMENT = 64
"""Bytes, as torch aligns its own: some kernels sum in another order otherwise."""


def parse_size(text: str) -> int:
    """The number of processes that `--processes` means; `auto` is the cores at hand."""
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigError(f"--processes: {text!r}, allowed: auto or a whole number from 1")


def shares(portions: int, size: int) -> list[list[int]]:
    """Which portions each process computes: the first stays with process 0, which has least."""
    dealt: list[list[int]] = [[] for _ in range(size)]
    for portion in range(portions):
        dealt[portion if portion < size else (portion - size + 1) % size].append(portion)
    return dealt


class Arena:
    """What the processes of a pool share of one problem, in one mapped file without a name."""

    def __init__(self, problem: Divisible, fd: int | None = None) -> None:
        n, d = problem.workers, problem.dim
        state = problem.state_dict()
        wanted = {
            "x": ((d,), problem.dtype),
            "gradients": ((n, d), problem.dtype),
            "scores": ((problem.evaluation_chunks, 2), torch.float64),
        } | {f"state/{name}": (tuple(t.shape), t.dtype) for name, t in state.items()}
        places, end = {}, 0
        for name, (shape, dtype) in wanted.items():
            places[name] = end
            size = max(1, torch.Size(shape).numel()) * dtype.itemsize
            end += -(-size // ALIGNMENT) * ALIGNMENT
        self.nbytes = end
        self.fd = os.memfd_create("wiregrad-pool") if fd is None else fd
        try:
            if fd is None:
                os.truncate(self.fd, end)
            elif os.fstat(fd).st_size != end:
                raise RuntimeFailure("the processes of the pool did not build the same problem")
            memory = mmap.mmap(self.fd, end)
        except BaseException:
            os.close(self.fd)
            raise
        tensors = {
            name: torch.frombuffer(
                memory, dtype=dtype, count=torch.Size(shape).numel(), offset=places[name]
            ).view(shape)
            for name, (shape, dtype) in wanted.items()
        }
        self.x, self.gradients = tensors["x"], tensors["gradients"]
        self.scores = tensors["scores"]
        self.state = {name: tensors[f"state/{name}"] for name in state}

    def close(self) -> None:
        """Close the file; what is mapped stays while its tensors live."""
        os.close(self.fd)


@dataclass
class Member:
    """A process of the pool besides the driving one, and the socket to it."""

    rank: int
    process: subprocess.Popen[bytes]
    socket: socket.socket

    @staticmethod
    def start(rank: int) -> Member:
        """A process that waits for orders. Ctrl-C on the terminal does not reach it."""
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

    def order(self, order: Mapping[str, Any], fd: int | None = None) -> None:
        """Send an order, and a file with it."""
        fds = [] if fd is None else [fd]
        try:
            socket.send_fds(self.socket, [json.dumps(order).encode()], fds)
        except ConnectionError:
            raise self._lost() from None

    def answer(self) -> None:
        """Wait for the answer to an order. Raises RuntimeFailure for any but "done"."""
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
        """Close the socket and see the process off; it holds nothing that is worth waiting for."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


@dataclass
class Pool:
    """`size` processes for the runs that this process executes, one after the other.

    Members start with the first run that can use them. A context manager: they end with it.
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
        """`problem`, built from `config`, with its work shared; itself where that is no use."""
        if self.size == 1 or not isinstance(problem, Divisible):
            return problem
        if problem.device.type != "cpu":
            _log.warning("one process computes on %s: a pool is for the CPU", problem.device)
            return problem
        self.members += [Member.start(i) for i in range(len(self.members) + 1, self.size)]
        return Pooled(self, config, problem)

    def all(self, order: Mapping[str, Any]) -> None:
        """Give all members an order."""
        for member in self.members:
            member.order(order)

    def wait(self) -> None:
        """Until all members have carried out the last order; raises RuntimeFailure."""
        open_ = {member.socket: member for member in self.members}
        while open_:
            for ready in select.select(list(open_), [], [])[0]:
                open_.pop(ready).answer()


class Pooled(Problem):
    """A problem whose gradients and evaluations all processes of a pool compute."""

    def __init__(self, pool: Pool, config: RunConfig, problem: Divisible) -> None:
        self._pool, self._inner = pool, problem
        self._arena = Arena(problem)
        for name, value in problem.state_dict().items():
            self._arena.state[name].copy_(value)
        try:
            order = {"do": "build", "config": config.resolved(), "size": pool.size}
            for member in pool.members:
                member.order(order | {"rank": member.rank}, self._arena.fd)
        finally:
            self._arena.close()
        problem.bind_parameters(self._arena.x)
        problem.bind_state(self._arena.state)
        self._mine = shares(len(problem.worker_groups()), pool.size)[0]
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
        return self._arena.gradients[:rows]

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem; the workers must be all, in order. Raises RuntimeFailure."""
        if len(workers) != self.workers:
            raise ValueError("a pool computes the gradients of all workers at once")
        self._arena.x.copy_(x)
        self._pool.all({"do": "gradients", "step": step})
        compute(self._inner, self._arena, step, self._mine)
        self._pool.wait()
        if out.data_ptr() != self._arena.gradients.data_ptr():
            out.copy_(self._arena.gradients)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem. Raises RuntimeFailure."""
        self._arena.x.copy_(x)
        self._pool.all({"do": "score"})
        score(self._inner, self._arena, 0, self._pool.size)
        self._pool.wait()
        return self._inner.combine_chunks(self._arena.scores)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """See Problem: the state of all workers is in the memory that all processes share."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """See Problem."""
        self._inner.load_state_dict(state)


def compute(problem: Divisible, arena: Arena, step: int, mine: Sequence[int]) -> None:
    """The gradients of one process's portions, into their rows."""
    portions = problem.worker_groups()
    for index in mine:
        rows = portions[index]
        out = arena.gradients[rows[0] : rows[-1] + 1]
        problem.gradients(arena.x, step, out, rows)


def score(problem: Divisible, arena: Arena, rank: int, size: int) -> None:
    """One process's parts of an evaluation."""
    for part in range(rank, problem.evaluation_chunks, size):
        problem.evaluate_chunk(arena.x, part, arena.scores[part])
