"""Synchronous rounds on the simulated clock: the server waits for the slowest worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wiregrad.comm.accounting import Convention
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.compute import ComputeTime
from wiregrad.runtimes.asynchronous.network import LinkModel
from wiregrad.runtimes.base import AppliedGradient, links_of
from wiregrad.runtimes.simulated import Simulated, SimulatedChannel


class MeteredChannel(SimulatedChannel):
    """Keeps what each sender's message of this round costs."""

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self.sent_bits = [0] * len(self.generators)
        """Of each sender, in this round."""

    def count(self, senders: Sequence[int], wire_bits: list[int], paper_bits: list[int]) -> None:
        """See MessageChannel."""
        super().count(senders, wire_bits, paper_bits)
        for sender, bits in zip(senders, wire_bits, strict=True):
            self.sent_bits[sender] += bits


class TimedSynchronous(Simulated):
    """The simulated runtime, to the last bit, with the time at which each of its rounds ends.

    A round lasts from the broadcast of x until the last message has arrived.
    """

    up: MeteredChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        compute: ComputeTime,
        link: LinkModel,
    ) -> None:
        super().__init__(problem, method, seeds, convention)
        links = links_of(problem, method, seeds, convention)
        self.up = MeteredChannel(links.uplink(range(problem.workers)), self.x)
        self.compute, self.link, self._seeds = compute, link, seeds
        self.now = 0.0
        """Seconds since the start."""
        self._download = 0
        """Bits of the last broadcast."""
        self._applied: list[AppliedGradient] = []

    def round(self, step: Step, measure: bool) -> None:
        """A round, and the time it takes."""
        before = self.down.meter.wire
        super().round(step, measure)
        link, n = self.link, self.problem.workers
        start = self.now + (link.seconds(self._download) if step.t > 1 else 0.0)
        ends = [start + self.compute.seconds(self._seeds, i, step.t) for i in range(n)]
        self.now = max(
            end + link.seconds(bits) for end, bits in zip(ends, self.up.sent_bits, strict=True)
        )
        self._applied = [
            AppliedGradient(step.t, i, 0, start, end, self.now) for i, end in enumerate(ends)
        ]
        self._download = self.down.meter.wire - before

    def applied(self) -> list[AppliedGradient]:
        """The last round's gradients."""
        return self._applied

    def state_dict(self) -> dict[str, Any]:
        """State of the method, the generators, the meters, and the clock."""
        return super().state_dict() | {"now": self.now, "download": self._download}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self.now, self._download = state["now"], state["download"]
