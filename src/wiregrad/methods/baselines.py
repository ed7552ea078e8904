"""Baselines: SGD with dense, compressed and error-compensated gradients; naive compression."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.amsgrad import AMSGrad
from wiregrad.methods.base import Empty, Fraction, Method, Replica, State, Step, register


@dataclass
class Point:
    """x `[d]` at the server."""

    x: torch.Tensor


@dataclass
class MomentumServer:
    """x and the momentum u, each `[d]`."""

    x: torch.Tensor
    u: torch.Tensor


@dataclass
class Residuals:
    """Residuals `[n, d]`, in units of x."""

    error: torch.Tensor


def for_rows(lr: float | torch.Tensor) -> float | torch.Tensor:
    """A learning rate that multiplies `[..., n, d]`; in a batch of R runs it is `[R, 1]`."""
    return lr[..., None] if isinstance(lr, torch.Tensor) else lr


def descend(x: torch.Tensor, lr: float | torch.Tensor, direction: torch.Tensor) -> None:
    """Set x ← x − lr direction, in place; lr is a number, or `[R, 1]` in a batch of R runs."""
    if isinstance(lr, torch.Tensor):
        x.addcmul_(lr, direction, value=-1)
    else:
        x.sub_(direction, alpha=lr)


@dataclass(frozen=True, kw_only=True)
class MomentumSGD(Method):
    """Base of the methods whose server runs heavy-ball SGD on the mean of what it receives.

    server  u <- momentum u + mean c_i;  x <- x - lr u;  broadcast x
    """

    momentum: Fraction = 0.0

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

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)


@register("naive_sgd")
@dataclass(frozen=True, kw_only=True)
class NaiveSGD(MomentumSGD):
    """SGD on compressed gradients, so that what compression drops is lost.

    worker  send C(g_i)
    server  u <- momentum u + mean c_i;  x <- x - lr u;  broadcast x
    """

    source = "by definition; arXiv 1901.09847 shows that it may not converge"

    compressor: Compressor

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)


@register("naive")
@dataclass(frozen=True, kw_only=True)
class Naive(AMSGrad):
    """COMP-AMS without error feedback, so that what compression drops is lost.

    worker  send C(g_i)
    server  as COMP-AMS
    """

    source = "arXiv 2205.05632, an earlier version: ablation without error feedback"

    compressor: Compressor

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), self.server(x0), Replica(x0.clone()))

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

    compressor: Compressor

    def init(self, x0: torch.Tensor, n: int) -> State:
        error = x0.new_zeros(*x0.shape[:-1], n, x0.shape[-1])
        return State(Residuals(error), Point(x0.clone()), Replica(x0.clone()))

    def work(
        self, workers: Residuals, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, for_rows(step.lr) * grads, workers.error)

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.mean())
        down.dense(server.x)
