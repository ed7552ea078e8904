"""The asynchronous runtime, real: a parameter server that applies payloads as they come.

The server is this process, the workers are others (`crew`). A worker reads x, computes, sends the
real bytes of its payload and waits for an answer. The server decodes them, updates x, and answers
the worker with what was broadcast since it last read: x itself, or every change where the workers
move x. A bound on the staleness makes workers wait, at the server, before they read or before they
are applied (`bound`).

A process that ends, or is silent for longer than the peers' time-out, is lost: its gradient, if it
has not arrived, is no longer waited for. It is started anew with a fresh state of its worker, and
is given x, unless the server's state mirrors what the lost one held. Every message that has arrived
is applied, or rejected at the end of the run.
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
from wiregrad.comm.channel import Link
from wiregrad.compressors.base import decode
from wiregrad.core.errors import NonFiniteError, RuntimeFailure
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.arriving import Arriving
from wiregrad.runtimes.base import Applied, tensors_of
from wiregrad.runtimes.distributed.runtime import WireChannel, own_row
from wiregrad.runtimes.parameter_server.crew import Crew, Event, Member
from wiregrad.runtimes.parameter_server.pair import Frame, Kind, packed
from wiregrad.runtimes.parameter_server.worker import decoded, parts_of, tensor_bytes
from wiregrad.runtimes.settings import ParameterServerSpec

_log = logging.getLogger(__name__)


@dataclass
class Flight:
    """A gradient under way: its worker has read x after `version` updates."""

    member: Member
    version: int
    message: Frame | None = None
    """What has arrived."""


class ParameterServer(Arriving):
    """The server's part; `round` is one update.

    Raises, beside what Arriving does, RuntimeFailure when no worker is left, or one is lost that
    the method cannot do without.
    """

    down: WireChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        spec: ParameterServerSpec,
        crew: Crew,
    ) -> None:
        super().__init__(problem, method, spec.staleness)
        self.spec, self.crew = spec, crew
        n, x0 = problem.workers, problem.x0()
        workers, self.server, self.replica = method.init(x0, n)
        own_row(workers, 0, n, method.name)  # raises ConfigError where workers share one
        self._mirrors = self.padded and bool(tensors_of(workers))
        link = Link.of(
            "downlink",
            [0],
            layout=problem.layout,
            blocks=method.blocks,
            convention=convention,
            seeds=seeds,
            device=x0.device,
        )
        self.down = WireChannel(link)
        self.idle: deque[Member] = deque()
        self.flights: dict[int, Flight] = {}
        self.messages = dict.fromkeys(("applied", "rejected", "joined", "lost"), 0)
        self._fresh: set[Member] = set()
        self._lost: set[Member] = set()
        self._heard = [0] * n
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
        """Heads of frames, and what those who join are given."""
        return sum(member.control_bytes for member in self.crew.members)

    def meet(self) -> None:
        """Wait until every worker has joined, or is lost for good; the clock starts then."""
        while len(self.idle) < self.problem.workers - self._missing():
            self._hear(self.crew.next_event())
        self._began = time.monotonic()

    def round(self, step: Step, measure: bool) -> None:
        """Until one more message has been applied."""
        del measure
        self._send_on()
        while (flight := self._next()) is None:
            self._hear(self.crew.next_event())
            self._send_on()
        del self.flights[flight.member.worker]
        self._apply(flight, step)
        if flight.member not in self._lost:
            self.idle.append(flight.member)

    def finish(self) -> None:
        """Stop all workers; what still arrives, or was not applied, is rejected."""
        busy = [f.member for f in self.flights.values() if f.message is None]
        held = [f.member for f in self.flights.values() if f.message is not None]
        waiting = [member for member in (*self.idle, *held) if member not in self._lost]
        self.messages["rejected"] += len(held) + self.crew.dismiss(waiting, busy)
        self.messages["sent"] = sum(member.sent for member in self.crew.members)

    # -- workers ----------------------------------------------------------------------------

    def _send_on(self) -> None:
        """Let workers read x, as many as may."""
        while self.idle and self.bound.may_begin(len(self.flights)):
            member = self.idle.popleft()
            self.flights[member.worker] = Flight(member, self.version)
            member.orders.put(self._order(member))

    def _order(self, member: Member) -> Frame:
        """Go, with x for one that is new, and else with what it has missed."""
        worker = member.worker
        seen, self._seen[worker] = self._seen[worker], self.version
        if member in self._fresh:
            self._fresh.discard(member)
            heard, body = self._heard[worker], tensor_bytes(self.replica)
            return Frame(Kind.WELCOME, self.version, heard, body=body)
        missed = [each for each in self._broadcasts if each[0] > seen]
        if self.latest_will_do:
            missed = missed[-1:]
        return Frame(Kind.GO, self.version, body=packed(missed))

    def _hear(self, event: Event) -> None:
        """Take in what a worker's thread reports."""
        member, frame = event.member, event.frame
        if event.reason is not None:
            self._lose(member, event.reason)
        elif frame is None:
            self.messages["joined"] += 1
            self._fresh.add(member)
            self.idle.append(member)
        elif frame.kind == Kind.DIVERGED:
            self.idle.append(self.flights.pop(member.worker).member)
            raise NonFiniteError(f"worker {member.worker}: a vector with NaN or Inf was to be sent")
        else:
            self._heard[member.worker] += 1
            self.flights[member.worker].message = frame

    def _lose(self, member: Member, reason: str) -> None:
        """Go on without a process, or with one in its place."""
        _log.warning("%s", reason)
        self.messages["lost"] += 1
        self._lost.add(member)
        self._seen[member.worker] = sys.maxsize  # nothing is kept for it
        flight = self.flights.get(member.worker)
        if flight is not None and flight.member is member and flight.message is None:
            del self.flights[member.worker]
        if member in self.idle:
            self.idle.remove(member)
        if self._mirrors:
            raise RuntimeFailure(
                f"worker {member.worker} was lost: {self.method.name} cannot go on without its "
                "state, of which the server holds an image"
            )
        if self.messages["lost"] <= self.spec.restarts:
            self.crew.start(member.worker)
        elif self._missing() == self.problem.workers:
            raise RuntimeFailure(f"no worker is left: {reason}")

    def _missing(self) -> int:
        """Workers that will not come back."""
        return max(0, self.messages["lost"] - self.spec.restarts)

    # -- the server -------------------------------------------------------------------------

    def _next(self) -> Flight | None:
        """The message to apply now, the first that arrived of those that may be."""
        arrived = [f for f in self.flights.values() if f.message is not None]
        for flight in sorted(arrived, key=lambda f: f.message.end if f.message else 0.0):
            others = (f.version for f in self.flights.values() if f is not flight)
            if self.bound.may_apply(self.version, others):
                return flight
        return None

    def _apply(self, flight: Flight, step: Step) -> None:
        """Update x with one message, and broadcast."""
        said, worker = flight.message, flight.member.worker
        if said is None:
            raise RuntimeError("a message that has not arrived cannot be applied")
        parts = parts_of(said.body, self.problem.dim)
        tag = max((part.tag for part in parts), default=0)
        self.serve(self.server, worker, [decode(part) for part in parts], tag, step)
        answer = self.down.message
        self.method.move(self.replica, decoded(answer, self.x), step)
        staleness, now = self.version - flight.version, time.monotonic() - self._began
        times = (said.start - self._began, said.end - self._began, now)
        applied = Applied(self.version + 1, worker, staleness, *times)
        self.note(applied, 8 * len(said.body), said.paper_bits, said.error)
        self.messages["applied"] += 1
        self._keep(answer)

    def _keep(self, answer: bytes) -> None:
        """Keep broadcasts that a worker may still need."""
        self._broadcasts.append((self.version, answer))
        oldest = self.version - 1 if self.latest_will_do else min(self._seen)
        while self._broadcasts and self._broadcasts[0][0] <= oldest:
            self._broadcasts.popleft()

    # -- checkpoints ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Nothing: such a run has no checkpoints."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `state_dict`."""
