"""The parameter server: an asynchronous runtime of real processes.

The server is this process; every worker is another one (`worker_pool`), on this machine, with a
connection of its own to the server (`connection`). One cycle of a worker:

1.  The server sends it an order: the replica when it has just joined, and else what was broadcast
    since it last read. That is the last broadcast where a broadcast is x itself, and every one that
    it has missed where the workers move x.
2.  The worker brings its x up to date, computes its gradient there, sleeps for as long as its model
    of compute times says, and sends the real bytes of its message.
3.  The server takes the message in when it arrives, and applies it as soon as the bound on the
    staleness allows: it decodes it, updates x and broadcasts. The worker waits for its next order.

A call of `round` is one update. A bound on the staleness makes workers wait at the server, before
they read x or before they are applied (`wiregrad.runtimes.asynchronous.bound`); it drops nothing.

Counted as wire bits are the messages that have been applied, and one copy of each broadcast. Heads
of frames, and the replicas that joining workers get, are `control_bytes`. The order of events
depends on the machine, so that two runs differ; there are no checkpoints.

A process that ends, or is silent for longer than the peers' time-out, is lost. Its gradient, if it
has not arrived, is no longer waited for. A new process takes its place, with a fresh state of the
worker and the present x, until the restarts are used up; after that the run goes on without the
worker. Where the server's state mirrors the worker's, as in EF21, no other process can take its
place, and the run ends with a RuntimeFailure. Every message that has arrived is applied, or counted
as rejected at the end of the run.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.message import Message
from wiregrad.comm.wire_channel import WireChannel
from wiregrad.core.errors import NonFiniteError, RuntimeFailure
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.server import AsynchronousServer
from wiregrad.runtimes.base import AppliedGradient, links_of, tensors_of
from wiregrad.runtimes.distributed.runtime import own_row
from wiregrad.runtimes.parameter_server.connection import Frame, FrameKind, pack_broadcasts
from wiregrad.runtimes.parameter_server.settings import ParameterServerSpec
from wiregrad.runtimes.parameter_server.worker import tensor_bytes
from wiregrad.runtimes.parameter_server.worker_pool import Event, WorkerPool, WorkerProcess

_log = logging.getLogger(__name__)


@dataclass
class Assignment:
    """A gradient that a worker process has been ordered to compute."""

    process: WorkerProcess
    version: int
    """Updates of the x at which it is taken."""
    frame: Frame | None = None
    """Its message, once it has arrived."""


class ParameterServer(AsynchronousServer):
    """The server's part; `round` is one update.

    Raises what AsynchronousServer raises, and RuntimeFailure when no worker is left, or when a
    worker is lost whose state the server mirrors.
    """

    down: WireChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        spec: ParameterServerSpec,
        pool: WorkerPool,
    ) -> None:
        super().__init__(problem, method, spec.staleness)
        self.restarts, self.pool = spec.restarts, pool
        n, x0 = problem.workers, problem.x0()
        workers, self.server, self.replica = method.init(x0, n)
        own_row(workers, 0, n, method.name)  # raises ConfigError where workers share one
        self._mirrors = self.padded and bool(tensors_of(workers))
        self.down = WireChannel(links_of(problem, method, seeds, convention).downlink())
        self.idle: deque[WorkerProcess] = deque()
        """Processes that wait for an order, the longest waiting first."""
        self.assignments: dict[int, Assignment] = {}
        """By worker."""
        self.messages = dict.fromkeys(("applied", "rejected", "joined", "lost"), 0)
        self._fresh: set[WorkerProcess] = set()
        self._lost: set[WorkerProcess] = set()
        self._heard = [0] * n
        """Messages of each worker that have arrived."""
        self._seen = [0] * n
        """Updates that each worker knows of."""
        self._broadcasts: deque[tuple[int, bytes]] = deque()
        self._began = time.monotonic()

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that a worker reads now."""
        x: torch.Tensor = self.replica.x
        return x

    @property
    def control_bytes(self) -> int:
        """Heads of frames, and the replicas that joining processes are given."""
        return sum(process.control_bytes for process in self.pool.processes)

    def wait_for_workers(self) -> None:
        """Wait until every worker has joined, or is lost for good; then the clock starts."""
        while len(self.idle) < self.problem.workers - self._lost_for_good():
            self._handle(self.pool.next_event())
        self._began = time.monotonic()

    def round(self, step: Step, measure: bool) -> None:
        """Until one more message has been applied."""
        del measure
        self._send_orders()
        while (assignment := self._next()) is None:
            self._handle(self.pool.next_event())
            self._send_orders()
        del self.assignments[assignment.process.worker]
        self._apply(assignment, step)
        if assignment.process not in self._lost:
            self.idle.append(assignment.process)

    def finish(self) -> None:
        """Stop all workers; what still arrives, or was not applied, is rejected."""
        busy = [a.process for a in self.assignments.values() if a.frame is None]
        held = [a.process for a in self.assignments.values() if a.frame is not None]
        waiting = [process for process in (*self.idle, *held) if process not in self._lost]
        self.messages["rejected"] += len(held) + self.pool.stop(waiting, busy)
        self.messages["sent"] = sum(process.sent for process in self.pool.processes)

    # -- workers ----------------------------------------------------------------------------

    def _send_orders(self) -> None:
        """Let workers read x, as many as the bound allows."""
        while self.idle and self.bound.may_begin(len(self.assignments)):
            process = self.idle.popleft()
            self.assignments[process.worker] = Assignment(process, self.version)
            process.orders.put(self._order(process))

    def _order(self, process: WorkerProcess) -> Frame:
        """The order to compute: a new process gets the replica, others what they have missed."""
        worker = process.worker
        seen, self._seen[worker] = self._seen[worker], self.version
        if process in self._fresh:
            self._fresh.discard(process)
            heard, body = self._heard[worker], tensor_bytes(self.replica)
            return Frame(FrameKind.WELCOME, self.version, heard, body=body)
        missed = [broadcast for broadcast in self._broadcasts if broadcast[0] > seen]
        if self.broadcasts_x:
            missed = missed[-1:]
        return Frame(FrameKind.GO, self.version, body=pack_broadcasts(missed))

    def _handle(self, event: Event) -> None:
        """Take in what the thread of a worker process reports."""
        process, frame = event.process, event.frame
        if event.reason is not None:
            self._replace(process, event.reason)
        elif frame is None:
            self.messages["joined"] += 1
            self._fresh.add(process)
            self.idle.append(process)
        elif frame.kind == FrameKind.DIVERGED:
            self.idle.append(self.assignments.pop(process.worker).process)
            raise NonFiniteError(
                f"worker {process.worker}: a vector with NaN or Inf was to be sent"
            )
        else:
            self._heard[process.worker] += 1
            self.assignments[process.worker].frame = frame

    def _replace(self, process: WorkerProcess, reason: str) -> None:
        """Go on without a process that is lost, or with another one in its place."""
        _log.warning("%s", reason)
        self.messages["lost"] += 1
        self._lost.add(process)
        self._seen[process.worker] = sys.maxsize  # nothing is kept for it
        assignment = self.assignments.get(process.worker)
        if assignment is not None and assignment.process is process and assignment.frame is None:
            del self.assignments[process.worker]
        if process in self.idle:
            self.idle.remove(process)
        if self._mirrors:
            raise RuntimeFailure(
                f"worker {process.worker} was lost: {self.method.name} cannot go on without its "
                "state, which the server mirrors"
            )
        if self.messages["lost"] <= self.restarts:
            self.pool.start(process.worker)
        elif self._lost_for_good() == self.problem.workers:
            raise RuntimeFailure(f"no worker is left: {reason}")

    def _lost_for_good(self) -> int:
        """Workers that are lost for good."""
        return max(0, self.messages["lost"] - self.restarts)

    # -- the server -------------------------------------------------------------------------

    def _next(self) -> Assignment | None:
        """The assignment to apply now: the first that has arrived of those that may be."""
        arrived = [a for a in self.assignments.values() if a.frame is not None]
        for assignment in sorted(arrived, key=lambda a: a.frame.end if a.frame else 0.0):
            others = (a.version for a in self.assignments.values() if a is not assignment)
            if self.bound.may_apply(self.version, others):
                return assignment
        return None

    def _apply(self, assignment: Assignment, step: Step) -> None:
        """Update x with one message, and broadcast."""
        frame, worker = assignment.frame, assignment.process.worker
        if frame is None:
            raise RuntimeError("a message that has not arrived cannot be applied")
        message = frame.message(self.problem.dim)
        self.serve(self.server, worker, message, step)
        answer = self.down.data
        broadcast = Message.from_bytes(answer, self.problem.dim)
        self.method.move(self.replica, broadcast.vector(self.x), step)
        applied = AppliedGradient(
            update=self.version + 1,
            worker=worker,
            staleness=self.version - assignment.version,
            start=frame.start - self._began,
            end=frame.end - self._began,
            applied=time.monotonic() - self._began,
        )
        self.record(applied, message)
        self.messages["applied"] += 1
        self._keep_broadcast(answer)

    def _keep_broadcast(self, answer: bytes) -> None:
        """Keep the broadcasts that a worker may still need."""
        self._broadcasts.append((self.version, answer))
        oldest = self.version - 1 if self.broadcasts_x else min(self._seen)
        while self._broadcasts and self._broadcasts[0][0] <= oldest:
            self._broadcasts.popleft()

    # -- checkpoints ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Nothing: such a run has no checkpoints."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `state_dict`."""
