"""Compressed gradients, summed over the workers (Khirirat, Feyzmahdavian, Johansson 2018).

arXiv 1806.06573, recalled. Its problem is min f(x) = Σ f_i(x). So lr is the paper's γ, a step for
the sum: the same step for the mean over n workers would be called n γ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, Step, register
from wiregrad.methods.premises import CompressedSum, Dimensions
from wiregrad.methods.state import Empty, Point, Replica, Residuals, State


@dataclass(frozen=True, kw_only=True)
class Compressing(Method):
    """Base of the methods whose workers send Q of their gradients."""

    compressor: Compressor
    """Q: unbiased, for the paper's bounds."""

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)


@dataclass(frozen=True, kw_only=True)
class Summing(Compressing):
    """Base of the ones whose server keeps nothing but x.

    server  x <- x - lr sum c_i;  broadcast x
    """

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Point(x0.clone()), Replica(x0.clone()))

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.sum(), alpha=step.lr)
        down.dense(server.x)


@register("q_gd")
@dataclass(frozen=True, kw_only=True)
class QGD(Method):
    """Q-GD: the full gradient is compressed, by the server, which has all of it.

    worker  send ∇f_i
    server  broadcast c = Q(sum ∇f_i)
    all     x <- x - lr c
    """

    source = "arXiv 1806.06573 (Q-GD), recalled"

    compressor: Compressor
    """Q: unbiased, for the paper's bounds."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Empty(), Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)

    def serve(self, server: Empty, received: Received, down: Channel, step: Step) -> None:
        down(self.compressor, received.sum())

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        replica.x.sub_(broadcast, alpha=step.lr)

    def premises(self, size: Dimensions) -> CompressedSum:
        return CompressedSum(self.compressor, at="server")


@register("distributed_q_gd")
@dataclass(frozen=True, kw_only=True)
class DistributedQGD(Summing):
    """Distributed Q-GD: every worker compresses its gradient; with one worker, Q-GD.

    worker  send c_i = Q(∇f_i)
    server  x <- x - lr sum c_i;  broadcast x

    If workers read x late it is x_{k+1} = x_k - lr sum Q(∇f_i(x_{k-τ_k^i})).
    """

    source = "arXiv 1806.06573 (distributed compressed gradients), recalled"

    def premises(self, size: Dimensions) -> CompressedSum:
        return CompressedSum(self.compressor, at="workers")


@dataclass
class Table:
    """x `[d]`, and the last message of each worker `[n, d]`: zeros before the first."""

    x: torch.Tensor
    last: torch.Tensor


@register("q_iag")
@dataclass(frozen=True, kw_only=True)
class QIAG(Compressing):
    """Q-IAG; with the sparsifier, S-IAG: the server keeps the last message of each worker.

    worker  send c_i = Q(∇f_i)
    server  c_i <- the new message, for each i that has sent one
            x <- x - lr sum c_i over all i;  broadcast x

    The server keeps n vectors, and adds all of them up in every round.
    """

    source = "arXiv 1806.06573 (Q-IAG, S-IAG), recalled"
    partial = "padded"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Table(x0.clone(), x0.new_zeros(n, x0.numel())), Replica(x0.clone()))

    def serve(self, server: Table, received: Received, down: Channel, step: Step) -> None:
        sent = received.sent.to(server.x.device)
        server.last[sent] = received.rows()[sent]
        total = torch.zeros_like(server.x)
        for row in server.last:
            total += row
        server.x.sub_(total, alpha=step.lr)
        down.dense(server.x)

    def premises(self, size: Dimensions) -> CompressedSum:
        return CompressedSum(self.compressor, at="workers")


@register("async_sgd")
@dataclass(frozen=True, kw_only=True)
class AsyncSGD(Summing):
    """Asynchronous mini-batch SGD with compression: every message is applied as it arrives.

    worker  b = (t - 1) mod parts;  send c_i = Q(U_b ∇f_i), U_b the block b of x, zero elsewhere
    server  x <- x - lr c_i, for each i that has arrived;  broadcast x
    """

    source = "arXiv 1806.06573 (asynchronous, mini-batches, blocks), recalled"
    partial = "arrived"

    parts: Annotated[int, pydantic.Field(ge=1)] = 1
    """Number of blocks of equal size that x is cut into; workers go through them in turn."""

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if self.parts > 1:
            d, b = grads.shape[-1], (step.t - 1) % self.parts
            block = torch.zeros_like(grads)
            part = slice(d * b // self.parts, d * (b + 1) // self.parts)
            block[..., part] = grads[..., part]
            grads = block
        up(self.compressor, grads)


@register("async_ef_sgd")
@dataclass(frozen=True, kw_only=True)
class AsyncEFSGD(Method):
    """Asynchronous SGD with error feedback, in units of x: this suite's own, no paper has it.

    worker  c_i = C(lr g_i + e_i);  e_i <- e_i + lr g_i - c_i;  send c_i
    server  x <- x - c_i, for each i that has arrived;  broadcast x
    """

    source = "this suite: arXiv 1901.09847, Algorithm 2 (EF-SGD), applied on arrival"
    partial = "arrived"

    compressor: Compressor
    """C, contractive."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        residuals = Residuals(x0.new_zeros(n, x0.numel()))
        return State(residuals, Point(x0.clone()), Replica(x0.clone()))

    def work(
        self, workers: Residuals, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, step.lr * grads, workers.error)

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.sum())
        down.dense(server.x)
