"""Compression on both links: as it is, with error feedback, as a Markov sequence; SGD, AMSGrad.

What is common to CD-Adam (`cd_adam`) and its comparators: the server holds neither x nor moments,
and every worker takes the step on what it decodes of the broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.core.layout import BlockKind
from wiregrad.methods.adam import Adaptive, LargestMoments
from wiregrad.methods.base import Empty, Fraction, Method, Replica, State, Step, register
from wiregrad.methods.baselines import Residuals, descend
from wiregrad.methods.three_point.gradient_descent import rows_like
from wiregrad.methods.three_point.mechanisms import NonNegative


@dataclass
class Residual:
    """The server's residual `[..., d]`."""

    error: torch.Tensor


@dataclass
class Estimates:
    """Of each worker, what the server holds of its gradient: g^_i `[..., n, d]`."""

    h: torch.Tensor


@dataclass
class Server:
    """g^ = mean g^_i, and g~, what the workers hold of it; each `[..., d]`."""

    g: torch.Tensor
    w: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class TwoWay(Method):
    """Base: one compressor for both links; the whole vector is one block unless told otherwise."""

    compressor: Compressor
    blocks: BlockKind = "whole"


@dataclass(frozen=True, kw_only=True)
class Naive(TwoWay):
    """Links without memory, so that what compression drops is lost.

    worker  send C(g_i)
    server  broadcast C(mean c_i)
    """

    def work(
        self, workers: Empty, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)

    def serve(self, server: Empty, received: Received, down: Channel, step: Step) -> None:
        down(self.compressor, received.mean())


@dataclass(frozen=True, kw_only=True)
class Feedback(TwoWay):
    """Links with error feedback, in units of gradients.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + E);  E <- E + mean c_i - c;  broadcast c
    """

    def links(self, x0: torch.Tensor, n: int) -> tuple[Residuals, Residual]:
        """What the workers and the server remember."""
        return Residuals(rows_like(x0, n)), Residual(torch.zeros_like(x0))

    def work(
        self, workers: Residuals, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, grads, workers.error)

    def serve(self, server: Residual, received: Received, down: Channel, step: Step) -> None:
        down.error_feedback(self.compressor, received.mean(), server.error)


@dataclass(frozen=True, kw_only=True)
class Markov(TwoWay):
    """Links with Markov compression sequences, which start at 0.

    worker  c_i = C(g_i - g^_i);  g^_i <- g^_i + c_i;  send c_i
    server  g^ <- g^ + mean c_i;  c = C(g^ - g~);  g~ <- g~ + c;  broadcast c
    """

    def links(self, x0: torch.Tensor, n: int) -> tuple[Estimates, Server]:
        """What the workers and the server remember."""
        return Estimates(rows_like(x0, n)), Server(torch.zeros_like(x0), torch.zeros_like(x0))

    def work(
        self, workers: Estimates, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        workers.h += up(self.compressor, grads - workers.h, relative_to=grads)

    def serve(self, server: Server, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.w += down(self.compressor, server.g - server.w)


@dataclass(frozen=True, kw_only=True)
class AMSGradAtWorkers(Adaptive):
    """Base of the methods whose workers take AMSGrad's step; the paper's own form by default."""

    beta2: Fraction = 0.99

    def moments(self, x0: torch.Tensor) -> LargestMoments:
        """What every worker holds alike before round 1."""
        return LargestMoments(x0.clone(), *(torch.zeros_like(x0) for _ in range(3)))


@dataclass(frozen=True, kw_only=True)
class SGDAtWorkers(Method):
    """Base of the methods whose workers take the step of SGD.

    all     x <- x - lr (g + weight_decay x)
    """

    weight_decay: NonNegative = 0.0

    def descend(self, x: torch.Tensor, g: torch.Tensor, step: Step) -> None:
        """Take the step along `g` `[..., d]`, in place."""
        if self.weight_decay:
            g = torch.add(g, x, alpha=self.weight_decay)
        descend(x, step.lr, g)


@register("naive_two_way")
@dataclass(frozen=True, kw_only=True)
class NaiveTwoWay(Naive, AMSGradAtWorkers):
    """AMSGrad with naive compression on both links.

    worker  send c_i = C(g_i)
    server  broadcast c = C(mean c_i)
    all     m <- b1 m + (1-b1) c;  v <- b2 v + (1-b2) c^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)
    """

    source = "arXiv 2111.00705, baseline: naive compression on both links"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Empty(), self.moments(x0))

    def move(self, replica: LargestMoments, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica, broadcast, step)


@register("ef_two_way")
@dataclass(frozen=True, kw_only=True)
class EFTwoWay(Feedback, AMSGradAtWorkers):
    """AMSGrad with error feedback on both links.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + E);  E <- E + mean c_i - c;  broadcast c
    all     m <- b1 m + (1-b1) c;  v <- b2 v + (1-b2) c^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)
    """

    source = "arXiv 2111.00705, baseline: error feedback on both links"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(*self.links(x0, n), self.moments(x0))

    def move(self, replica: LargestMoments, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica, broadcast, step)


@register("double_squeeze")
@dataclass(frozen=True, kw_only=True)
class DoubleSqueeze(Feedback, SGDAtWorkers):
    """DoubleSqueeze: SGD with error feedback on both links.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + E);  E <- E + mean c_i - c;  broadcast c
    all     x <- x - lr c
    """

    source = "arXiv 1905.05957 (DoubleSqueeze)"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(*self.links(x0, n), Replica(x0.clone()))

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica.x, broadcast, step)


@dataclass
class Follower:
    """x and g~, the estimate that all workers hold; each `[..., d]`."""

    x: torch.Tensor
    g: torch.Tensor


@register("ef21_two_way")
@dataclass(frozen=True, kw_only=True)
class EF21TwoWay(Markov, SGDAtWorkers):
    """EF21 on both links with SGD: CD-Adam without its moments.

    worker  c_i = C(g_i - g^_i);  g^_i <- g^_i + c_i;  send c_i
    server  g^ <- g^ + mean c_i;  c = C(g^ - g~);  g~ <- g~ + c;  broadcast c
    all     g~ <- g~ + c;  x <- x - lr g~

    All estimates start at 0; `ef21_bc` has exact ones from round 1, and two compressors.
    """

    source = "arXiv 2111.00705, baseline: EF21 (SGD), in the form of its CD-Adam"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(*self.links(x0, n), Follower(x0.clone(), torch.zeros_like(x0)))

    def move(self, replica: Follower, broadcast: torch.Tensor, step: Step) -> None:
        replica.g += broadcast
        self.descend(replica.x, replica.g, step)
