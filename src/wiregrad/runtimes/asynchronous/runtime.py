"""The asynchronous runtime, simulated: the server updates x with each message as it arrives.

There is a clock, in simulated seconds, and no round that all workers share. A worker:

1.  reads x, which takes as long as its link needs for what has been broadcast since it last read;
2.  computes a gradient, for a time that its model of compute times draws (`compute`);
3.  sends its message, which takes as long as the real payload needs on its link (`network`);
4.  waits until the server has applied the message and broadcast its answer, and reads anew.

A call of `round` is one update: it ends when the server has applied one more message, the first to
arrive. Events at the same time happen in the order of the workers. The staleness of a gradient is
the number of updates between the reading of x and the update that uses the gradient. A bound on it
makes fast workers wait, before they read or before they are applied; it never drops a gradient
(`bound`).

Since x does not change while a worker reads it, the gradient and the message are computed when the
worker begins, and kept as a `PendingGradient` until the clock reaches their arrival. Draws depend
on the seed, the worker and the worker's own round only, so that all methods see the same times.

Counted are the bits of the messages that have been applied; what is under way when the run ends is
not. With `apply: all` the server waits for the messages of all workers instead (`timed`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.message import Message
from wiregrad.comm.message_channel import Meter
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.compute import ComputeTime
from wiregrad.runtimes.asynchronous.network import LinkModel
from wiregrad.runtimes.asynchronous.server import AsynchronousServer
from wiregrad.runtimes.base import (
    AppliedGradient,
    links_of,
    load_tensors,
    tensors_of,
    worker_rows,
)
from wiregrad.runtimes.settings import Staleness
from wiregrad.runtimes.simulated import SimulatedChannel


@dataclass(frozen=True)
class PendingGradient:
    """A gradient that has not been applied yet, with the message that carries it."""

    worker: int
    version: int
    """Updates of x when its worker read it."""
    start: float
    """When its computation began, in seconds of the clock."""
    end: float
    """When its computation ended."""
    arrival: float
    """When the message is at the server."""
    message: Message


class Asynchronous(AsynchronousServer):
    """All workers, their clock and the server in this process.

    `compute` and `link`: the times of gradients and of messages. `staleness`: the bound on it.
    Raises what AsynchronousServer raises.
    """

    control_bytes = 0
    down: SimulatedChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        compute: ComputeTime,
        link: LinkModel,
        staleness: Staleness,
    ) -> None:
        super().__init__(problem, method, staleness)
        self.compute, self.link, self._seeds = compute, link, seeds
        n, x0 = problem.workers, problem.x0()
        self.state = method.init(x0, n)
        links = links_of(problem, method, seeds, convention)
        self.up = [SimulatedChannel(links.uplink([i]), x0) for i in range(n)]
        self.down = SimulatedChannel(links.downlink(), x0)
        self.now = 0.0
        """Seconds since the start."""
        self.idle = deque(range(n))
        """Workers that wait to begin, the longest waiting first."""
        self.pending: dict[int, PendingGradient] = {}
        """By worker."""
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
        while self.idle and self.bound.may_begin(len(self.pending)):
            worker = self.idle.popleft()
            self.pending[worker] = self._begin(worker, step)
        gradient = self._next()
        del self.pending[gradient.worker]
        self._apply(gradient, step)
        self.idle.append(gradient.worker)

    # -- a worker ---------------------------------------------------------------------------

    def _begin(self, worker: int, step: Step) -> PendingGradient:
        """The worker reads x: its gradient, its message, and when it arrives."""
        self._rounds[worker] += 1
        t = self._rounds[worker]
        start = self.now + self._download(worker)
        end = start + self.compute.seconds(self._seeds, worker, t)
        total = max(1, step.total // self.updates_per_round)
        message = self._work(worker, replace(step, t=t, total=total))
        arrival = end + self.link.seconds(message.wire_bits)
        return PendingGradient(worker, self.version, start, end, arrival, message)

    def _work(self, worker: int, step: Step) -> Message:
        """Gradient and message of one worker, with its row of the workers' state."""
        channel = self.up[worker]
        before = replace(channel.meter)
        grads = self.problem.gradient_buffer(1)
        self.problem.gradients(self.x, step.t, grads, [worker])
        channel.open(measure=True)
        with worker_rows(self.state.workers, slice(worker, worker + 1)) as mine:
            self.method.work(mine, self.state.replica, grads, channel, step)
        received = channel.received
        return Message(
            (received.rows()[0].clone(),) if received.sent[0] else (),
            int(received.tags[0]),
            channel.meter.wire - before.wire,
            channel.meter.paper - before.paper,
            channel.compression_error(),
        )

    def _download(self, worker: int) -> float:
        """Seconds until the worker has what was broadcast since it last read; 0 at the start."""
        missed = self.down.meter.wire - self._seen[worker]
        self._seen[worker] = self.down.meter.wire
        if not missed:
            return 0.0
        return self.link.seconds(self._last_broadcast if self.broadcasts_x else missed)

    # -- the server -------------------------------------------------------------------------

    def _next(self) -> PendingGradient:
        """The message to apply now; the clock goes on to its arrival, at least."""
        for gradient in sorted(self.pending.values(), key=lambda g: (g.arrival, g.worker)):
            others = (g.version for g in self.pending.values() if g is not gradient)
            if self.bound.may_apply(self.version, others):
                self.now = max(self.now, gradient.arrival)
                return gradient
        raise RuntimeError("no message can be applied: the bound on staleness cannot be met")

    def _apply(self, gradient: PendingGradient, step: Step) -> None:
        """Update x with one message, and broadcast."""
        before = self.down.meter.wire
        self.serve(self.state.server, gradient.worker, gradient.message, step)
        self.method.move(self.state.replica, self.down.received.rows()[0], step)
        self._last_broadcast = self.down.meter.wire - before
        applied = AppliedGradient(
            update=self.version + 1,
            worker=gradient.worker,
            staleness=self.version - gradient.version,
            start=gradient.start,
            end=gradient.end,
            applied=self.now,
        )
        self.record(applied, gradient.message)

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
            "pending": [
                vars(gradient) | {"message": vars(gradient.message)}
                for gradient in self.pending.values()
            ],
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
        pending = [self._restored(saved) for saved in state["pending"]]
        self.pending = {gradient.worker: gradient for gradient in pending}
        self._rounds, self._seen = list(state["rounds"]), list(state["seen"])

    def _restored(self, saved: Mapping[str, Any]) -> PendingGradient:
        """The pending gradient of a checkpoint."""
        message = dict(saved["message"])
        message["parts"] = tuple(part.to(self.x) for part in message["parts"])
        return PendingGradient(**{**saved, "message": Message(**message)})
