"""The distributed runtime: n processes under `torch.distributed`, and real payloads between them.

Worker i is the process of rank i; rank 0 is the server besides. All ranks run the same loop in
lockstep. A round of the form ``server: rank0``:

1.  Rank i computes its gradient at x, and `Method.work` turns it and the rank's own row of the
    workers' state into one payload.
2.  Rank i sends a header (the payload's length, its price in the paper's books, its compression
    error: 24 bytes) and then the bytes of `Payload.to_bytes()` to rank 0.
3.  Rank 0 decodes what it received, its own bytes included, and `Method.serve` answers with one
    payload. Rank 0 broadcasts its length (8 bytes), then its bytes.
4.  Every rank decodes them, and `Method.move` moves its x.
5.  Rank 0 evaluates and logs where a row is due, and broadcasts its order (8 bytes): go on, write
    a checkpoint, stop.

With ``server: replicated`` every rank holds the server's state. Headers travel by all-gather,
payloads by n broadcasts of their exact sizes, and each rank answers itself, with the same
generator. There is no downlink then, and its bits are 0.

A worker without news sends the five bytes of an empty payload, so that no exchange is ever left
out. A rank whose vector is not finite sends a header of length -1 and no payload; all ranks leave
the round with a NonFiniteError, and its uplink is not counted, as in the simulation.

Counted as wire bits are the payloads alone, rank 0's own among them, although it stays in its
process. Headers, lengths and orders are `control_bytes`. Generators are named as in the
simulation, so that both send the same bytes, to the bit on the CPU with as many threads (a problem
that takes the gradients of several workers in one pass, `per_pass`, agrees to rounding there).

A rank that ends makes the exchanges of the others fail at once. One that hangs, or a machine that
falls off the network, does so after the time-out of `wiregrad.runtimes.ranks`. Nothing is written
but checkpoints until rank 0 has the whole history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.channel import Link
from wiregrad.comm.messages import MessageChannel, Meter
from wiregrad.comm.received import Decoded, Delivery
from wiregrad.compressors.base import decode
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Empty, Method, State, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import Applied, Bits, Order, load_tensors, tensors_of
from wiregrad.runtimes.distributed.exchange import NOT_FINITE, Exchange, Header, Spoken
from wiregrad.wire import EMPTY, Payload


class WireChannel(MessageChannel):
    """The channel of one sender: its message as bytes."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._message: bytes | None = None

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self._message = None

    @property
    def message(self) -> bytes:
        """The bytes of this round's payload."""
        if self._message is None:
            raise RuntimeError("the method sent nothing: every sender speaks once a round")
        return self._message

    @property
    def paper_bits(self) -> int:
        """What the paper's books charge for this round."""
        return self.meter.paper - self._before.paper

    def deliver(self, delivery: Delivery, tags: torch.Tensor | None) -> None:
        """See MessageChannel."""
        (row,) = delivery.picked
        tag = 0 if tags is None else int(tags)
        part = delivery.packet.payload(row, tag).to_bytes()
        self._message = (self._message or b"") + part

    def deliver_empty(self, sender: int, payload: Payload) -> None:
        """See MessageChannel."""
        del sender
        self._message = payload.to_bytes()


class Distributed:
    """One rank: its worker, and the server at rank 0 or, replicated, everywhere.

    Raises ConfigError for a method whose workers do not each have a state of their own.
    """

    updates_per_round = 1

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        exchange: Exchange,
        *,
        replicated: bool = False,
    ) -> None:
        if exchange.size != problem.workers:
            raise ConfigError(f"{exchange.size} processes for {problem.workers} workers")
        require_own_state(problem)
        self.problem, self.method, self.exchange = problem, method, exchange
        self.replicated = replicated
        self.serves = replicated or self.leads
        x0 = problem.x0()
        workers, server, replica = method.init(x0, problem.workers)
        mine = own_row(workers, exchange.rank, problem.workers, method.name)
        self.state = State(mine, server if self.serves else Empty(), replica)
        self.grads = x0.new_zeros(1, problem.dim)
        self.received = Decoded(problem.workers if self.serves else 0, x0)
        link = partial(
            Link.of,
            layout=problem.layout,
            blocks=method.blocks,
            convention=convention,
            seeds=seeds,
            device=x0.device,
        )
        self.up = WireChannel(link("uplink", [exchange.rank]))
        self.down = WireChannel(link("downlink", [0]))
        self.meter = Meter()
        """Uplink of all workers, where the server is."""
        self._error = float("nan")

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that the workers hold."""
        x: torch.Tensor = self.state.replica.x
        return x

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.exchange.rank == 0

    @property
    def control_bytes(self) -> int:
        """Bytes of the control traffic that this rank sent or received."""
        return self.exchange.control_bytes

    def round(self, step: Step, measure: bool) -> None:
        """Gradient at x, uplink, server, downlink, move."""
        self.exchange.place = f"in round {step.t}"
        self._error = float("nan")
        spoken = self._work(step, measure)
        if self.replicated:
            answer = self._serve(self.exchange.to_all(spoken), step, measure)
        else:
            answer = self._ask(self.exchange.to_server(spoken), step, measure)
        self.method.move(self.state.replica, self._decode(answer), step)

    def _work(self, step: Step, measure: bool) -> Spoken:
        """What this rank's worker says."""
        workers, _, replica = self.state
        self.up.open(measure)
        try:
            self.problem.gradients(replica.x, step.t, self.grads, [self.exchange.rank])
            self.method.work(workers, replica, self.grads, self.up, step)
        except NonFiniteError:
            return Spoken(Header(NOT_FINITE))
        message = self.up.message
        error = self.up.compression_error()
        return Spoken(Header(len(message), self.up.paper_bits, error), message)

    def _ask(self, spoken: list[Spoken], step: Step, measure: bool) -> bytes:
        """Rank 0's answer to what it has received."""
        answer = None
        if self.leads:
            with suppress(NonFiniteError):  # no answer says so to all ranks
                answer = self._serve(spoken, step, measure)
        answer = self.exchange.from_server(answer)
        if answer is None:
            raise NonFiniteError(f"round {step.t}: a vector with NaN or Inf was to be sent")
        return answer

    def _serve(self, spoken: list[Spoken], step: Step, measure: bool) -> bytes:
        """The server's answer to the messages of all workers."""
        for rank, message in enumerate(spoken):
            if not message.header.follows:
                raise NonFiniteError(f"rank {rank}: a vector with NaN or Inf was to be sent")
            parts = self._parts(message.payload)
            tag = max((part.tag for part in parts), default=0)
            self.received.put(rank, [decode(part) for part in parts], tag)
        self.meter.wire += sum(8 * len(each.payload) for each in spoken)
        self.meter.paper += sum(each.header.paper_bits for each in spoken)
        errors = [each.header.error for each in spoken]
        self._error = float(torch.tensor(errors, dtype=torch.float64).mean())
        self.down.open(measure)
        self.method.serve(self.state.server, self.received, self.down, step)
        return self.down.message

    def _decode(self, data: bytes) -> torch.Tensor:
        """The vector `[d]` of a message, zeros for an empty one; raises PayloadError."""
        vector = torch.zeros_like(self.grads[0])
        for part in self._parts(data):
            vector += decode(part).to(vector.device)
        return vector

    def _parts(self, data: bytes) -> list[Payload]:
        """The payloads of a message that are not empty."""
        parts = Payload.sequence(data, numel=self.problem.dim)
        return [part for part in parts if part.codec != EMPTY]

    def bits(self) -> Bits:
        """Bits since the start, complete where the server is; no downlink where all serve."""
        n, down = self.problem.workers, Meter() if self.replicated else self.down.meter
        return Bits(self.meter.wire // n, down.wire, self.meter.paper // n, down.paper)

    def compression_error(self) -> float:
        """Mean relative error of the last round's uplink; NaN unless it was measured."""
        return self._error

    def applied(self) -> Sequence[Applied]:
        """See Runtime: no gradient is ever stale."""
        return ()

    def choices(self) -> torch.Tensor | None:
        """See Runtime: each process sees its own workers' alone."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """State of this rank."""
        return {
            "method": [tensors_of(part) for part in self.state],
            "problem": self.problem.state_dict(),
            "channels": [channel.state_dict() for channel in (self.up, self.down)],
            "uplink": [self.meter.wire, self.meter.paper],
            "control": self.exchange.control_bytes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for part, saved in zip(self.state, state["method"], strict=True):
            load_tensors(part, saved)
        self.problem.load_state_dict(state["problem"])
        for channel, saved in zip((self.up, self.down), state["channels"], strict=True):
            channel.load_state_dict(saved)
        self.meter = Meter(*state["uplink"])
        self.exchange.control_bytes = state["control"]

    def agree(self, order: Order) -> Order:
        """Rank 0's order."""
        return Order(self.exchange.order(order))


def require_own_state(problem: Problem) -> None:
    """Raise ConfigError where an evaluation reads state that lies in other processes."""
    if problem.joint_state:
        raise ConfigError(
            "problem.statistics: averaged reads the statistics of all workers, which the processes "
            "of runtime.name: distributed do not exchange; allowed: worker_0"
        )


def own_row(workers: Any, rank: int, n: int, method: str) -> Any:
    """The workers' state with row `rank` alone; raises ConfigError where there is none."""
    rows = {}
    for name, value in tensors_of(workers).items():
        if value.shape[0] != n:
            raise ConfigError(
                f"method.name: {method} keeps {value.shape[0]} row(s) of worker state {name!r} for "
                f"{n} workers; runtime.name: distributed needs one a worker, use simulated"
            )
        rows[name] = value[rank : rank + 1].clone()
    return type(workers)(**rows)
