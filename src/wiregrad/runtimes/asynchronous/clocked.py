"""Synchronous rounds on the simulated clock: the server waits for the slowest worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from wiregrad.comm.accounting import Convention
from wiregrad.comm.channel import Link
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import Applied
from wiregrad.runtimes.settings import AsynchronousSpec
from wiregrad.runtimes.simulated import Simulated, SimulatedChannel


class MeteredChannel(SimulatedChannel):
    """Tells what each sender's message of this round costs."""

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self.each = [0] * len(self.generators)
        """Bits on the wire of each sender."""

    def tally(self, senders: Sequence[int], wire_bits: list[int], paper_bits: list[int]) -> None:
        """See MessageChannel."""
        super().tally(senders, wire_bits, paper_bits)
        for sender, bits in zip(senders, wire_bits, strict=True):
            self.each[sender] += bits


class Clocked(Simulated):
    """The simulated runtime, to the last bit, and when each of its rounds ends.

    A round lasts from the broadcast of x until the last message has arrived.
    """

    up: MeteredChannel

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        spec: AsynchronousSpec,
    ) -> None:
        super().__init__(problem, method, seeds, convention)
        link = partial(
            Link.of,
            layout=problem.layout,
            blocks=method.blocks,
            convention=convention,
            seeds=seeds,
            device=self.x.device,
        )
        self.up = MeteredChannel(link("uplink", range(problem.workers)), self.x)
        self.spec, self._seeds = spec, seeds
        self.now = 0.0
        """Seconds since the start."""
        self._download = 0
        """Bits of the last broadcast."""
        self._applied: list[Applied] = []

    def round(self, step: Step, measure: bool) -> None:
        """A round, and the time it takes."""
        before = self.down.meter.wire
        super().round(step, measure)
        link, n = self.spec.link, self.problem.workers
        start = self.now + (link.seconds(self._download) if step.t > 1 else 0.0)
        ends = [start + self.spec.compute.seconds(self._seeds, i, step.t) for i in range(n)]
        self.now = max(
            end + link.seconds(bits) for end, bits in zip(ends, self.up.each, strict=True)
        )
        self._applied = [Applied(step.t, i, 0, start, end, self.now) for i, end in enumerate(ends)]
        self._download = self.down.meter.wire - before

    def applied(self) -> list[Applied]:
        """The last round's gradients."""
        return self._applied

    def state_dict(self) -> dict[str, Any]:
        """State of the method, the generators, the meters, and the clock."""
        return super().state_dict() | {"now": self.now, "download": self._download}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self.now, self._download = state["now"], state["download"]
