"""DIANA (Mishchenko, Gorbunov, Takáč, Richtárik, arXiv 1901.09269)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, Probability, Step, register
from wiregrad.methods.premises import Dimensions, LearnedShifts
from wiregrad.methods.rows import rows_like
from wiregrad.methods.state import Replica, State


@dataclass
class Shifts:
    """Shifts h_i `[..., n, d]`."""

    h: torch.Tensor


@dataclass
class ShiftServer:
    """x and h, the mean of the shifts, each `[..., d]`."""

    x: torch.Tensor
    h: torch.Tensor


@register("diana")
@dataclass(frozen=True, kw_only=True)
class Diana(Method):
    """DIANA: compressed differences to shifts that learn the gradients.

    worker  m_i = Q(∇f_i - h_i);  h_i <- h_i + a m_i;  send m_i
    server  g = h + mean m_i;  h <- h + a mean m_i;  x <- x - lr g;  broadcast x

    Q is `compressor`, a is `shift_rate` (the paper's α), lr is the paper's γ.
    """

    source = "arXiv 1901.09269, Algorithm 1 without momentum and proximal step, recalled"
    sweepable = True

    compressor: Compressor
    """Q, unbiased."""
    shift_rate: Probability | None = None
    """a, in (0, 1]; by default 1/(1 + ω), the largest that the theory allows."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"compressor": {"name": "rand_k", "k": 3, "scaled": True}}

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = ShiftServer(x0.clone(), torch.zeros_like(x0))
        return State(Shifts(rows_like(x0, n)), server, Replica(x0.clone()))

    def rate(self, channel: Channel) -> float:
        """The a for the vectors of this channel."""
        if self.shift_rate is not None:
            return self.shift_rate
        return 1 / (1 + channel.blocked(self.compressor).contract().error)

    def work(
        self, workers: Shifts, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        workers.h += self.rate(up) * up(self.compressor, grads - workers.h)

    def serve(self, server: ShiftServer, received: Received, down: Channel, step: Step) -> None:
        mean = received.mean()
        server.x -= step.lr * (server.h + mean)
        server.h += self.rate(down) * mean
        down.dense(server.x)

    def premises(self, size: Dimensions) -> LearnedShifts:
        return LearnedShifts(size.omega(self.compressor))
