"""The simulated runtime: n workers and the server on one device, in one process.

The workers' states are stacked: every tensor of them is `[n, ...]`, a row for each worker. A round:

1.  The problem computes the gradients of some workers at x, into a buffer `[m, d]`: of as many as
    it can compute at once (`Problem.worker_groups`), one portion after the other.
2.  `Method.work` turns them, with these workers' rows of the state, into messages on the uplink.
3.  Once all workers have spoken, `Method.serve` gets their messages and answers on the downlink.
4.  `Method.move` moves x, which all workers hold alike, by the decoded answer.

Messages stay as they are encoded (`ReceivedEncoded`): no bytes are made. What is decoded, and the
bits that are counted, are those of the bytes that the distributed runtime sends, to the bit;
`tests/integration/test_distributed.py` compares both, round by round.

Where m < n, the buffer is used again for the next portion, so that memory does not grow with n. A
message that is the gradient itself (a dense one) refers to the buffer; once that is seen, the
buffer has a row for every worker from the same round on.

A vector with NaN or Inf raises NonFiniteError. The uplink of that round is not counted then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.link import Link
from wiregrad.comm.message_channel import MessageChannel
from wiregrad.comm.received import ReceivedEncoded
from wiregrad.compressors.encoded import Encoded
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import (
    AppliedGradient,
    Bits,
    Order,
    Runtime,
    links_of,
    load_tensors,
    tensors_of,
    worker_rows,
)
from wiregrad.runtimes.settings import RuntimeSpec, register
from wiregrad.wire import Payload


class SimulatedChannel(MessageChannel):
    """Delivers messages as they are encoded: the bits of the bytes, without the bytes.

    `like`: a tensor `[d]` of the vectors' float type and device.
    """

    def __init__(self, link: Link, like: torch.Tensor) -> None:
        super().__init__(link)
        self.received = ReceivedEncoded(len(link.generators), like)

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self.received.clear()

    def deliver(
        self,
        encoded: Encoded,
        rows: Sequence[int],
        senders: Sequence[int],
        tags: torch.Tensor | None,
    ) -> None:
        """See MessageChannel."""
        self.received.put(encoded, rows, senders, tags)

    def deliver_empty(self, sender: int, payload: Payload) -> None:
        """See MessageChannel: from a sender that skips, nothing is received."""


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
        self._reuses_buffer = True
        self._grads: torch.Tensor | None = None
        links = links_of(problem, method, seeds, convention)
        self.up = SimulatedChannel(links.uplink(range(problem.workers)), x0)
        self.down = SimulatedChannel(links.downlink(), x0)

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
            self._send_all(step)
        except NonFiniteError:
            self.up.cancel()
            raise
        self.down.open(measure)
        self.method.serve(server, self.up.received, self.down, step)
        self.method.move(replica, self.down.received.rows()[0], step)

    def _send_all(self, step: Step) -> None:
        """Gradients and uplink of all workers, in a buffer of a portion where that is enough."""
        everyone = range(self.problem.workers)
        portions = self.problem.worker_groups() if self._reuses_buffer else [everyone]
        for portion in portions:
            if self._grads is None:
                self._grads = self.problem.gradient_buffer(max(map(len, portions)))
            self._send_portion(portion, self._grads[: len(portion)], step)
            if len(portions) > 1 and self.up.received.shares_memory_with(self._grads):
                self._reuses_buffer, self._grads = False, None

    def _send_portion(self, portion: Sequence[int], grads: torch.Tensor, step: Step) -> None:
        """Gradients and uplink of these workers, whose rows of the buffer are `grads` `[m, d]`."""
        self.problem.gradients(self.x, step.t, grads, portion)
        self._work(portion, grads, step, self.state.replica)

    def _work(self, portion: Sequence[int], grads: torch.Tensor, step: Step, replica: Any) -> None:
        """`Method.work` of these consecutive workers, with their rows of the state."""
        rows = slice(portion[0], portion[-1] + 1)
        with worker_rows(self.state.workers, rows) as mine:
            self.method.work(mine, replica, grads, self.up, step)

    def bits(self) -> Bits:
        """Bits since the start."""
        n = self.problem.workers
        up, down = self.up.meter, self.down.meter
        return Bits(up.wire // n, down.wire, up.paper // n, down.paper)

    def compression_error(self) -> float:
        """Mean relative error of the last measured round's uplink."""
        return self.up.compression_error()

    def applied(self) -> Sequence[AppliedGradient]:
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


@register("simulated")
@dataclass(frozen=True, kw_only=True)
class SimulatedSpec(RuntimeSpec):
    """Synchronous rounds of n workers on one device."""

    pooled = True
    synchronous = True

    server: Literal["rank0", "replicated"] = "rank0"
    """Of `distributed`; without effect here."""

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """See RuntimeSpec."""
        return Simulated(problem, method, seeds, convention)
