"""Baselines: SGD with dense, compressed and error-compensated gradients; naive compression."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.amsgrad import AMSGradServer
from wiregrad.methods.base import Fraction, Method, Step, register
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.rows import descend, for_rows, rows_like
from wiregrad.methods.state import Empty, Point, Replica, Residuals, State
from wiregrad.methods.three_point import constants


@dataclass
class MomentumServer:
    """x and the momentum u, each `[..., d]`."""

    x: torch.Tensor
    u: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class MomentumSGD(Method):
    """Base of the methods whose server runs heavy-ball SGD on the mean of what it receives.

    server  u <- momentum u + mean c_i;  x <- x - lr u;  broadcast x
    """

    momentum: Fraction = 0.0
    """Of the heavy ball; 0: plain SGD."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = MomentumServer(x0.clone(), torch.zeros_like(x0))
        return State(Empty(), server, Replica(x0.clone()))

    def serve(self, server: MomentumServer, received: Received, down: Channel, step: Step) -> None:
        server.u.mul_(self.momentum).add_(received.mean())
        descend(server.x, step.lr, server.u)
        down.dense(server.x)


@register("dist_sgd")
@dataclass(frozen=True, kw_only=True)
class DistSGD(MomentumSGD):
    """Distributed SGD, with heavy-ball momentum where asked (that of torch.optim.SGD).

    worker  send g_i
    server  u <- momentum u + mean g_i;  x <- x - lr u;  broadcast x
    """

    source = "Polyak 1964; lr outside the momentum, as in torch.optim.SGD"
    partial = "arrived"
    sweepable = True

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)

    def premises(self, size: Dimensions) -> ThreePoint:
        """Gradient descent, as C(x) = x."""
        return ThreePoint(constants.gd())


@register("naive_sgd")
@dataclass(frozen=True, kw_only=True)
class NaiveSGD(MomentumSGD):
    """SGD on compressed gradients: what compression drops is lost.

    worker  send c_i = C(g_i)
    server  u <- momentum u + mean c_i;  x <- x - lr u;  broadcast x
    """

    source = "by definition; arXiv 1901.09847 shows that it may not converge"
    partial = "arrived"
    sweepable = True

    compressor: Compressor
    """C."""

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)

    def premises(self, size: Dimensions) -> ThreePoint:
        """No theorem: it is tuned in multiples of EF21's step, as in arXiv 2106.05203."""
        return ThreePoint(constants.ef21(size.alpha(self.compressor)), proven=False)


@register("naive")
@dataclass(frozen=True, kw_only=True)
class Naive(AMSGradServer):
    """COMP-AMS without error feedback: what compression drops is lost.

    worker  send c_i = C(g_i)
    server  as COMP-AMS
    """

    source = "arXiv 2205.05632, an earlier version: ablation without error feedback"
    partial = "arrived"
    sweepable = True

    compressor: Compressor
    """C."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), self.moments(x0), Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)


@register("ef_sgd")
@dataclass(frozen=True, kw_only=True)
class EFSGD(Method):
    """SGD with error feedback; the residual is in units of x, so that lr may change.

    worker  c_i = C(lr g_i + e_i);  e_i <- e_i + lr g_i - c_i;  send c_i
    server  x <- x - mean c_i;  broadcast x
    """

    source = "arXiv 1901.09847, Algorithm 2 (EF-SGD), at each of n workers"
    partial = "arrived"
    sweepable = True

    compressor: Compressor
    """C, contractive."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Residuals(rows_like(x0, n)), Point(x0.clone()), Replica(x0.clone()))

    def work(
        self, workers: Residuals, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, for_rows(step.lr) * grads, workers.error)

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.mean())
        down.dense(server.x)

    def premises(self, size: Dimensions) -> ThreePoint:
        """No theorem: it is tuned in multiples of EF21's step, as in arXiv 2106.05203."""
        return ThreePoint(constants.ef21(size.alpha(self.compressor)), proven=False)
