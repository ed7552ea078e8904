"""The asynchronous runtime, simulated: the server updates x with each message as it arrives.

A worker reads x, computes for a time that its model draws, and sends a message that takes as long
as its real payload needs on the worker's link; the server applies it and answers, and the worker
reads anew. The staleness of a gradient is the number of updates since its worker read x. Events at
the same time happen in the order of the workers.

A bound on the staleness makes fast workers wait: see `wiregrad.runtimes.bound`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.channel import Link
from wiregrad.comm.messages import Meter
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.arriving import Arriving
from wiregrad.runtimes.base import Applied, load_tensors, tensors_of
from wiregrad.runtimes.settings import AsynchronousSpec
from wiregrad.runtimes.simulated import SimulatedChannel


@dataclass
class Flight:
    """A gradient under way, as its receiver will decode it."""

    worker: int
    version: int
    """Updates when its worker read x."""
    start: float
    end: float
    due: float
    """When the message is at the server."""
    vector: torch.Tensor
    """`[d]`"""
    sent: bool
    """False for an empty payload."""
    tag: int
    wire: int
    paper: int
    error: float
    """Relative compression error."""


class Asynchronous(Arriving):
    """All workers, their clocks and the server in this process; see Arriving for what it raises."""

    control_bytes = 0
    down: SimulatedChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        spec: AsynchronousSpec,
    ) -> None:
        super().__init__(problem, method, spec.staleness)
        self.spec, self._seeds = spec, seeds
        n, x0 = problem.workers, problem.x0()
        self.state = method.init(x0, n)
        link = partial(
            Link.of,
            layout=problem.layout,
            blocks=method.blocks,
            convention=convention,
            seeds=seeds,
            device=x0.device,
        )
        self.up = [SimulatedChannel(link("uplink", [i]), x0) for i in range(n)]
        self.down = SimulatedChannel(link("downlink", [0]), x0)
        self.now = 0.0
        """Seconds since the start."""
        self.idle = deque(range(n))
        """Workers that wait to begin, the longest waiting first."""
        self.flights: dict[int, Flight] = {}
        """By worker; those that wait at the server among them."""
        self._rounds = [0] * n
        self._seen = [0] * n
        """Bits of all broadcasts until each worker's last reading."""
        self._last_broadcast = 0

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that a worker reads now."""
        x: torch.Tensor = self.state.replica.x
        return x

    def round(self, step: Step, measure: bool) -> None:
        """Until the server has applied one more message."""
        del measure  # nobody knows which message the round that is logged will apply
        while self.idle and self.bound.may_begin(len(self.flights)):
            worker = self.idle.popleft()
            self.flights[worker] = self._begin(worker, step)
        flight = self._next()
        del self.flights[flight.worker]
        self._apply(flight, step)
        self.idle.append(flight.worker)

    # -- a worker ---------------------------------------------------------------------------

    def _begin(self, worker: int, step: Step) -> Flight:
        """The worker reads x; what it will have sent, and when."""
        self._rounds[worker] += 1
        t = self._rounds[worker]
        start = self.now + self._download(worker)
        end = start + self.spec.compute.seconds(self._seeds, worker, t)
        channel = self.up[worker]
        before = replace(channel.meter)
        total = max(1, step.total // self.updates_per_round)
        self._work(worker, replace(step, t=t, total=total))
        wire = channel.meter.wire - before.wire
        return Flight(
            worker=worker,
            version=self.version,
            start=start,
            end=end,
            due=end + self.spec.link.seconds(wire),
            vector=channel.received.rows()[0].clone(),
            sent=bool(channel.received.sent[0]),
            tag=int(channel.received.tags[0]),
            wire=wire,
            paper=channel.meter.paper - before.paper,
            error=channel.compression_error(),
        )

    def _work(self, worker: int, step: Step) -> None:
        """Gradient and message of one worker, with its row of the workers' state."""
        grads = self.problem.gradient_buffer(1)
        self.problem.gradients(self.x, step.t, grads, [worker])
        state = tensors_of(self.state.workers)
        views = {k: v if len(v) == 1 else v[worker : worker + 1] for k, v in state.items()}
        mine = type(self.state.workers)(**views)
        self.up[worker].open(measure=True)
        self.method.work(mine, self.state.replica, grads, self.up[worker], step)
        for name, view in views.items():
            if getattr(mine, name) is not view:
                view.copy_(getattr(mine, name))

    def _download(self, worker: int) -> float:
        """Seconds until the worker has what was broadcast since it last read; 0 at the start."""
        missed = self.down.meter.wire - self._seen[worker]
        self._seen[worker] = self.down.meter.wire
        if not missed:
            return 0.0
        return self.spec.link.seconds(self._last_broadcast if self.latest_will_do else missed)

    # -- the server -------------------------------------------------------------------------

    def _next(self) -> Flight:
        """The message to apply now; the clock goes on to its arrival, at least."""
        for flight in sorted(self.flights.values(), key=lambda f: (f.due, f.worker)):
            others = (f.version for f in self.flights.values() if f is not flight)
            if self.bound.may_apply(self.version, others):
                self.now = max(self.now, flight.due)
                return flight
        raise RuntimeError("no message can be applied: the bound on staleness cannot be met")

    def _apply(self, flight: Flight, step: Step) -> None:
        """Update x with one message, and broadcast."""
        before, vectors = self.down.meter.wire, [flight.vector] if flight.sent else []
        self.serve(self.state.server, flight.worker, vectors, flight.tag, step)
        self.method.move(self.state.replica, self.down.received.rows()[0], step)
        self._last_broadcast = self.down.meter.wire - before
        staleness, times = self.version - flight.version, (flight.start, flight.end, self.now)
        applied = Applied(self.version + 1, flight.worker, staleness, *times)
        self.note(applied, flight.wire, flight.paper, flight.error)

    # -- checkpoints ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State of the method, the channels, the workers and the messages under way."""
        return {
            "method": [tensors_of(part) for part in self.state],
            "problem": self.problem.state_dict(),
            "channels": [channel.state_dict() for channel in (*self.up, self.down)],
            "meter": [self.meter.wire, self.meter.paper],
            "clock": [self.now, self.version, self._last_broadcast],
            "idle": list(self.idle),
            "flights": [vars(flight) for flight in self.flights.values()],
            "rounds": self._rounds,
            "seen": self._seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for part, saved in zip(self.state, state["method"], strict=True):
            load_tensors(part, saved)
        self.problem.load_state_dict(state["problem"])
        for channel, saved in zip((*self.up, self.down), state["channels"], strict=True):
            channel.load_state_dict(saved)
        self.meter = Meter(*state["meter"])
        self.now, self.version, self._last_broadcast = state["clock"]
        self.idle = deque(state["idle"])
        flights = [Flight(**saved) for saved in state["flights"]]
        self.flights = {flight.worker: flight for flight in flights}
        for flight in flights:
            flight.vector = flight.vector.to(self.x)
        self._rounds, self._seen = list(state["rounds"]), list(state["seen"])
