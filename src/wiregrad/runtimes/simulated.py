"""The simulated runtime: n workers on one device, their states stacked `[n, d]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.channel import Link
from wiregrad.comm.messages import MessageChannel
from wiregrad.comm.received import Delivery, Packets
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import Applied, Bits, Order, load_tensors, tensors_of
from wiregrad.wire import Payload


class SimulatedChannel(MessageChannel):
    """Delivers messages as they are: the bits of the bytes, without the bytes."""

    def __init__(self, link: Link, like: torch.Tensor) -> None:
        super().__init__(link)
        self.received = Packets(len(link.generators), like)

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self.received.clear()

    def deliver(self, delivery: Delivery, tags: torch.Tensor | None) -> None:
        """See MessageChannel."""
        self.received.put(delivery, tags)

    def deliver_empty(self, sender: int, payload: Payload) -> None:
        """See MessageChannel: nothing has been received from those who are silent."""


class Simulated:
    """All n workers and the server in this process."""

    control_bytes = 0
    leads = True
    updates_per_round = 1

    def __init__(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> None:
        x0 = problem.x0()
        self.problem, self.method = problem, method
        self.state = method.init(x0, problem.workers)
        self._lean = True
        self._grads: torch.Tensor | None = None
        link = partial(
            Link.of,
            layout=problem.layout,
            blocks=method.blocks,
            convention=convention,
            seeds=seeds,
            device=x0.device,
        )
        self.up = SimulatedChannel(link("uplink", range(problem.workers)), x0)
        self.down = SimulatedChannel(link("downlink", [0]), x0)

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that the workers hold."""
        x: torch.Tensor = self.state.replica.x
        return x

    def round(self, step: Step, measure: bool) -> None:
        """Gradients at x, uplink, server, downlink, move."""
        _, server, replica = self.state
        self.up.open(measure)
        try:
            self._speak(step)
        except NonFiniteError:
            self.up.cancel()
            raise
        self.down.open(measure)
        self.method.serve(server, self.up.received, self.down, step)
        self.method.move(replica, self.down.received.rows()[0], step)

    def _speak(self, step: Step) -> None:
        """Gradients and uplink of all workers: some at a time, in one buffer, where that will do.

        It does where messages are compressed. One that is the very gradient keeps its buffer for
        the round; once that is seen, there is a row for every worker.
        """
        everyone = range(self.problem.workers)
        portions = self.problem.worker_groups() if self._lean else [everyone]
        for portion in portions:
            if self._grads is None:
                self._grads = self.problem.gradient_buffer(max(map(len, portions)))
            self._portion(portion, self._grads[: len(portion)], step)
            if len(portions) > 1 and self.up.received.refer_to(self._grads):
                self._lean, self._grads = False, None

    def _portion(self, portion: Sequence[int], grads: torch.Tensor, step: Step) -> None:
        """Gradients and uplink of these workers, into their rows `grads` `[m, d]`."""
        self.problem.gradients(self.x, step.t, grads, portion)
        self._work(portion, grads, step, self.state.replica)

    def _work(self, portion: Sequence[int], grads: torch.Tensor, step: Step, replica: Any) -> None:
        """What these workers say; a state of one row belongs to all of them."""
        rows = slice(portion[0], portion[-1] + 1)
        views = {
            name: value if len(value) == 1 else value[rows]
            for name, value in tensors_of(self.state.workers).items()
        }
        mine = type(self.state.workers)(**views)
        self.method.work(mine, replica, grads, self.up, step)
        for name, view in views.items():
            if getattr(mine, name) is not view:
                view.copy_(getattr(mine, name))

    def bits(self) -> Bits:
        """Bits since the start."""
        n = self.problem.workers
        up, down = self.up.meter, self.down.meter
        return Bits(up.wire // n, down.wire, up.paper // n, down.paper)

    def compression_error(self) -> float:
        """Mean relative error of the last measured round's uplink."""
        return self.up.compression_error()

    def applied(self) -> Sequence[Applied]:
        """See Runtime: no gradient is ever stale."""
        return ()

    def choices(self) -> torch.Tensor | None:
        """See Runtime."""
        return self.up.choices if self.up.offered else None

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
