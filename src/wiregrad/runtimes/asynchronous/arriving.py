"""What asynchronous runtimes share: a server that updates x with one message after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from wiregrad.comm.messages import MessageChannel, Meter
from wiregrad.comm.received import Decoded
from wiregrad.core.errors import ConfigError
from wiregrad.methods.base import Method, Partial, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.bound import Bound
from wiregrad.runtimes.base import Applied, Bits, Order
from wiregrad.runtimes.settings import Staleness


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


class Arriving:
    """Base: the server, and what a loop asks.

    Raises ConfigError for a method that needs to hear all workers in every update.
    """

    leads = True
    down: MessageChannel

    def __init__(self, problem: Problem, method: Method, staleness: Staleness) -> None:
        n, x0 = problem.workers, problem.x0()
        self.problem, self.method = problem, method
        self.bound = Bound(staleness.bound)
        self.updates_per_round = n
        self.padded = n > 1 and partial_form(method) == "padded"
        """Whether the server is given a row for every worker, empty but for one."""
        self.latest_will_do = type(method).move is Method.move
        """Whether a broadcast is x itself; otherwise a worker needs every one that it missed."""
        self.received = Decoded(n if self.padded else 1, x0)
        self.meter = Meter()
        """Uplink of what has been applied."""
        self.version = 0
        """Updates so far."""
        self._applied: list[Applied] = []
        self._error = float("nan")

    def serve(
        self, state: Any, worker: int, vectors: Sequence[torch.Tensor], tag: int, step: Step
    ) -> None:
        """The server's part of an update, with one worker's decoded message (none: it is empty)."""
        row = worker if self.padded else 0
        self.received.put(row, vectors, tag)
        self.down.open(measure=False)
        self.method.serve(state, self.received, self.down, step)
        self.received.put(row, [], 0)

    def note(self, applied: Applied, wire: int, paper: int, error: float) -> None:
        """Count a message, of so many bits, that has been applied as `applied` says."""
        self.meter.wire += wire
        self.meter.paper += paper
        self.version = applied.update
        self._applied, self._error = [applied], error

    # -- what a loop asks -------------------------------------------------------------------

    def bits(self) -> Bits:
        """Bits since the start; the uplink's of the messages that were applied."""
        n, down = self.problem.workers, self.down.meter
        return Bits(self.meter.wire // n, down.wire, self.meter.paper // n, down.paper)

    def compression_error(self) -> float:
        """Relative error of the message that was applied last."""
        return self._error

    def applied(self) -> list[Applied]:
        """The last round's gradient."""
        return self._applied

    def choices(self) -> torch.Tensor | None:
        """See Runtime: a round hears one worker."""
        return None

    def agree(self, order: Order) -> Order:
        """The server's own order."""
        return order
