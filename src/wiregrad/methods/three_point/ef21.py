"""EF21 and EF21+ (Richtárik, Sokolov, Fatkhullin, NeurIPS 2021, arXiv 2106.05203)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, Step, register
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.rows import rows_like, square
from wiregrad.methods.state import Estimates, Replica, State
from wiregrad.methods.three_point import constants
from wiregrad.methods.three_point.base import without_draws
from wiregrad.methods.three_point.gradient_descent import ThreePC
from wiregrad.methods.three_point.mechanisms import EF21Mechanism

PLAIN = 1
"""Tag of a message that is C(∇f_i) itself, not a change of g_i."""


@register("ef21")
@dataclass(frozen=True, kw_only=True)
class EF21(ThreePC):
    """EF21; on stochastic gradients, EF21-SGD.

    round 1
    worker  g_i = ∇f_i;  send g_i
    then
    worker  c_i = C(∇f_i - g_i);  g_i <- g_i + c_i;  send c_i
    server  g <- g + mean c_i;  x <- x - lr g;  broadcast x

    lr is the paper's γ.
    """

    source = "arXiv 2106.05203, Algorithm 2 (EF21); arXiv 2110.03294 (EF21-SGD)"
    partial = "padded"

    compressor: Compressor
    """C, contractive."""

    @property
    def mechanism(self) -> EF21Mechanism:
        return EF21Mechanism(compressor=self.compressor)


@dataclass
class EstimatesServer:
    """x `[..., d]` and every worker's estimate `[..., n, d]`, since a message may replace it."""

    x: torch.Tensor
    h: torch.Tensor


@register("ef21_plus")
@dataclass(frozen=True, kw_only=True)
class EF21Plus(Method):
    """EF21+: the better of the plain and the Markov compressor, worker by worker.

    round 1
    worker  g_i = ∇f_i;  send g_i
    then
    worker  m = g_i + C(∇f_i - g_i);  b = C(∇f_i)
            g_i <- m, send C(∇f_i - g_i), where ‖m - ∇f_i‖² <= ‖b - ∇f_i‖²;  else g_i <- b, send b
    server  the same g_i;  x <- x - lr mean g_i;  broadcast x

    A tag on the message tells b from a change of g_i. The server keeps n vectors.
    """

    source = "arXiv 2106.05203 (EF21+)"
    partial = "padded"
    sweepable = True

    compressor: Compressor
    """C, contractive and without draws: it is tried on two vectors."""

    def __post_init__(self) -> None:
        without_draws(self.compressor, "EF21+")

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = EstimatesServer(x0.clone(), rows_like(x0, n))
        return State(Estimates(rows_like(x0, n)), server, Replica(x0.clone()))

    def work(
        self, workers: Estimates, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if step.t == 1:
            workers.h.copy_(up.dense(grads))
            return
        gap = grads - workers.h
        markov = square(gap - up.decoded(self.compressor, gap))
        plain = square(grads - up.decoded(self.compressor, grads)) < markov
        base = workers.h.masked_fill(plain[..., None], 0)
        workers.h.copy_(base + up(self.compressor, grads - base, tag=PLAIN * plain.long()))

    def serve(self, server: EstimatesServer, received: Received, down: Channel, step: Step) -> None:
        server.h.masked_fill_((received.tags == PLAIN)[..., None], 0)
        server.h += received.rows()
        server.x -= step.lr * server.h.mean(-2)
        down.dense(server.x)

    def premises(self, size: Dimensions) -> ThreePoint:
        return ThreePoint(constants.ef21(size.alpha(self.compressor)))
