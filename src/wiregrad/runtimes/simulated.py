"""The simulated runtime: n workers on one device, their states stacked `[n, d]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from wiregrad.bits import Convention
from wiregrad.channel import Channel
from wiregrad.compressors.base import Compressor
from wiregrad.errors import NonFiniteError
from wiregrad.layout import BlockKind, Layout
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.rng import Seeds
from wiregrad.runtimes.base import Bits, Order, load_tensors, tensors_of


class SimulatedChannel(Channel):
    """Delivers by a fused round trip: the bits of the bytes, without the bytes."""

    def __init__(
        self,
        layout: Layout,
        blocks: BlockKind,
        charge: str,
        convention: Convention,
        generators: Sequence[torch.Generator],
        like: torch.Tensor,
    ) -> None:
        super().__init__(layout, blocks, charge, convention, generators)
        self.delivered = like.new_zeros(len(generators), layout.numel)
        """What the receivers of this round decode, `[senders, d]`."""

    def _send(
        self,
        compressor: Compressor,
        rows: torch.Tensor,
        senders: range,
        billed_as: Compressor | None,
    ) -> torch.Tensor:
        place = slice(senders.start, senders.stop)
        blocked = self.blocked(compressor)
        trip = blocked.roundtrip(rows, self.delivered[place], self.generators[place])
        self._count(blocked, trip, billed_as)
        return trip.decoded

    def _deliver_empty(self, dtype: torch.dtype, sender: int) -> None:
        del dtype
        self.delivered[sender].zero_()


class Simulated:
    """All n workers and the server in this process."""

    control_bytes = 0
    leads = True

    def __init__(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> None:
        x0 = problem.x0()
        self.problem, self.method = problem, method
        self.state = method.init(x0, problem.workers)
        self.grads = x0.new_zeros(problem.workers, problem.dim)
        self.up = self._channel("uplink", problem.workers, seeds, convention, x0)
        self.down = self._channel("downlink", 1, seeds, convention, x0)

    def _channel(
        self, name: str, senders: int, seeds: Seeds, convention: Convention, like: torch.Tensor
    ) -> SimulatedChannel:
        generators = [
            seeds.generator("compressor", name, i, device=like.device) for i in range(senders)
        ]
        layout, blocks = self.problem.layout, self.method.blocks
        return SimulatedChannel(layout, blocks, name, convention, generators, like)

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that the workers hold."""
        x: torch.Tensor = self.state.replica.x
        return x

    def round(self, step: Step, measure: bool) -> None:
        """Gradients at x, uplink, server, downlink, move."""
        workers, server, replica = self.state
        self.up.open(measure)
        self.problem.gradients(replica.x, step.t, self.grads, range(self.problem.workers))
        try:
            self.method.work(workers, replica, self.grads, self.up, step)
        except NonFiniteError:
            self.up.cancel()
            raise
        self.down.open(measure)
        self.method.serve(server, self.up.delivered, self.down, step)
        self.method.move(replica, self.down.delivered[0], step)

    def bits(self) -> Bits:
        """Bits since the start."""
        n = self.problem.workers
        up, down = self.up.meter, self.down.meter
        return Bits(up.wire // n, down.wire, up.paper // n, down.paper)

    def compression_error(self) -> float:
        """Mean relative error of the last measured round's uplink."""
        return self.up.compression_error()

    def state_dict(self) -> dict[str, Any]:
        """State of the method, the generators and the meters."""
        return {
            "method": [tensors_of(part) for part in self.state],
            "problem": self.problem.state_dict(),
            "channels": [channel.state_dict() for channel in (self.up, self.down)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for part, saved in zip(self.state, state["method"], strict=True):
            load_tensors(part, saved)
        self.problem.load_state_dict(state["problem"])
        for channel, saved in zip((self.up, self.down), state["channels"], strict=True):
            channel.load_state_dict(saved)

    def agree(self, order: Order) -> Order:
        """One process: its own order."""
        return order
