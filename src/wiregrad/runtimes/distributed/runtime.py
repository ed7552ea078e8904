"""The distributed runtime: n processes under `torch.distributed`, and real payloads between them.

Worker i is the process of rank i; rank 0 is the server besides. All ranks run the same loop in
lockstep. A round of the form ``server: rank0``:

1.  Rank i computes its gradient at x, and `Method.work` turns it and the rank's own row of the
    workers' state into one payload.
2.  Rank i sends a header (the length of its message, what the paper's convention charges for it,
    its compression error: 24 bytes) and then the bytes of `Payload.to_bytes()` to rank 0.
3.  Rank 0 decodes what it received, its own bytes included, and `Method.serve` answers with one
    payload. Rank 0 broadcasts its length (8 bytes), then its bytes.
4.  Every rank decodes them, and `Method.move` moves its x.
5.  Rank 0 evaluates and logs where a row is due, and broadcasts its order (8 bytes): go on, write
    a checkpoint, stop.

With ``server: replicated`` every rank holds the server's state. Headers travel by all-gather,
payloads by n broadcasts of their exact sizes, and each rank answers itself, with the same
generator. There is no downlink then, and its bits are 0.

A worker that skips a round sends the five bytes of an empty payload, so that no exchange is ever
left out. A rank whose vector is not finite sends a header of length -1 and no payload; all ranks
leave the round with a NonFiniteError, and its uplink is not counted, as in the simulation.

Counted as wire bits are the payloads alone, rank 0's own among them, although it stays in its
process. Headers, lengths and orders are `control_bytes`. Generators are named as in the
simulation, so that both send the same bytes, to the bit on the CPU with as many threads (a problem
that takes the gradients of several workers in one pass, `per_pass`, agrees to rounding there).

A rank that ends makes the exchanges of the others fail at once. One that hangs, or a machine that
falls off the network, does so after the time-out of `wiregrad.runtimes.distributed.ranks`. Nothing
is written but checkpoints until rank 0 has the whole history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.message import Message
from wiregrad.comm.message_channel import Meter
from wiregrad.comm.received import ReceivedRows
from wiregrad.comm.wire_channel import WireChannel
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Empty, Method, State, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import (
    AppliedGradient,
    Bits,
    Order,
    links_of,
    load_tensors,
    tensors_of,
)
from wiregrad.runtimes.distributed.exchange import NOT_FINITE, Exchange, Header, UplinkFrame


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
        self.received = ReceivedRows(problem.workers if self.serves else 0, x0)
        links = links_of(problem, method, seeds, convention)
        self.up = WireChannel(links.uplink([exchange.rank]))
        self.down = WireChannel(links.downlink())
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
        frame = self.work(step, measure)
        if self.replicated:
            answer = self._serve(self.exchange.to_all(frame), step, measure)
        else:
            answer = self._answer_of_rank0(self.exchange.to_server(frame), step, measure)
        broadcast = Message.from_bytes(answer, self.problem.dim)
        self.method.move(self.state.replica, broadcast.vector(self.grads[0]), step)

    def work(self, step: Step, measure: bool) -> UplinkFrame:
        """The message of this rank's worker."""
        workers, _, replica = self.state
        self.up.open(measure)
        try:
            self.problem.gradients(replica.x, step.t, self.grads, [self.exchange.rank])
            self.method.work(workers, replica, self.grads, self.up, step)
        except NonFiniteError:
            return UplinkFrame(Header(NOT_FINITE))
        data, error = self.up.data, self.up.compression_error()
        return UplinkFrame(Header(len(data), self.up.paper_bits, error), data)

    def _answer_of_rank0(self, frames: list[UplinkFrame], step: Step, measure: bool) -> bytes:
        """The answer of rank 0 to the frames that it has received, on every rank."""
        answer = None
        if self.leads:
            with suppress(NonFiniteError):  # no answer says so to all ranks
                answer = self._serve(frames, step, measure)
        answer = self.exchange.from_server(answer)
        if answer is None:
            raise NonFiniteError(f"round {step.t}: a vector with NaN or Inf was to be sent")
        return answer

    def _serve(self, frames: list[UplinkFrame], step: Step, measure: bool) -> bytes:
        """The server's answer to the messages of all workers."""
        messages = []
        for rank, frame in enumerate(frames):
            header = frame.header
            if not header.follows:
                raise NonFiniteError(f"rank {rank}: a vector with NaN or Inf was to be sent")
            message = Message.from_bytes(
                frame.data, self.problem.dim, paper_bits=header.paper_bits, error=header.error
            )
            self.received.put(rank, message)
            messages.append(message)
        self.meter.wire += sum(message.wire_bits for message in messages)
        self.meter.paper += sum(message.paper_bits for message in messages)
        errors = [message.error for message in messages]
        self._error = float(torch.tensor(errors, dtype=torch.float64).mean())
        self.down.open(measure)
        self.method.serve(self.state.server, self.received, self.down, step)
        return self.down.data

    def bits(self) -> Bits:
        """Bits since the start, complete where the server is; no downlink where all serve."""
        n, down = self.problem.workers, Meter() if self.replicated else self.down.meter
        return Bits(self.meter.wire // n, down.wire, self.meter.paper // n, down.paper)

    def compression_error(self) -> float:
        """Mean relative error of the last round's uplink; NaN unless it was measured."""
        return self._error

    def applied(self) -> Sequence[AppliedGradient]:
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
