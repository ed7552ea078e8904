"""What asynchronous runtimes share: a server that updates x with one message after the other."""

from __future__ import annotations

from typing import Any

import torch

from wiregrad.comm.message import Message
from wiregrad.comm.message_channel import MessageChannel, Meter
from wiregrad.comm.received import ReceivedRows
from wiregrad.core.errors import ConfigError
from wiregrad.methods.base import Method, Partial, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.bound import StalenessBound
from wiregrad.runtimes.base import AppliedGradient, Bits, Order
from wiregrad.runtimes.settings import Staleness

_EMPTY = Message(())


def partial_form(method: Method) -> Partial:
    """How `method` takes the messages of some workers (see `Method.partial`).

    Raises ConfigError for a method that needs to hear all of them in every update.
    """
    if method.partial is None:
        raise ConfigError(
            f"method.name: {method.name} needs the messages of all workers in every update; "
            "allowed with it: runtime.apply: all, or a synchronous runtime"
        )
    return method.partial


class AsynchronousServer:
    """Base of the asynchronous runtimes: the server's part, and what a loop asks.

    It updates x with the message of one worker at a time. `staleness`: the bound on how old x may
    be. Raises ConfigError for a method that needs to hear all workers in every update.
    """

    leads = True
    down: MessageChannel

    def __init__(self, problem: Problem, method: Method, staleness: Staleness) -> None:
        n, x0 = problem.workers, problem.x0()
        self.problem, self.method = problem, method
        self.bound = StalenessBound(staleness.bound)
        self.updates_per_round = n
        self.padded = n > 1 and partial_form(method) == "padded"
        """Whether the server is given a row for every worker, all of them empty but one."""
        self.broadcasts_x = type(method).move is Method.move
        """Whether a broadcast is x itself, so that the latest is enough for a worker.

        Otherwise it needs every broadcast that it has missed.
        """
        self.received = ReceivedRows(n if self.padded else 1, x0)
        self.meter = Meter()
        """Uplink bits of the messages that have been applied."""
        self.version = 0
        """Updates so far."""
        self._applied: list[AppliedGradient] = []
        self._error = float("nan")

    def serve(self, state: Any, worker: int, message: Message, step: Step) -> None:
        """The server's part of an update, with the message of one worker."""
        row = worker if self.padded else 0
        self.received.put(row, message)
        self.down.open(measure=False)
        self.method.serve(state, self.received, self.down, step)
        self.received.put(row, _EMPTY)

    def record(self, applied: AppliedGradient, message: Message) -> None:
        """Count `message`, which has been applied as `applied` says."""
        self.meter.wire += message.wire_bits
        self.meter.paper += message.paper_bits
        self.version = applied.update
        self._applied, self._error = [applied], message.error

    # -- what a loop asks -------------------------------------------------------------------

    def bits(self) -> Bits:
        """Bits since the start; on the uplink, of the messages that were applied."""
        n, down = self.problem.workers, self.down.meter
        return Bits(self.meter.wire // n, down.wire, self.meter.paper // n, down.paper)

    def compression_error(self) -> float:
        """Relative error of the message that was applied last."""
        return self._error

    def applied(self) -> list[AppliedGradient]:
        """The last round's gradient."""
        return self._applied

    def choices(self) -> torch.Tensor | None:
        """See Runtime: a round hears one worker."""
        return None

    def agree(self, order: Order) -> Order:
        """The server's own order."""
        return order
