"""The comparators of CD-Adam: both links compressed, without memory or with one; AMSGrad or SGD.

As in CD-Adam (`cd_adam`) the server holds neither x nor moments: every worker takes the step on
what it decodes of the broadcast. One compressor C serves both links.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.core.layout import BlockKind
from wiregrad.methods.amsgrad import SwitchedAMSGrad
from wiregrad.methods.base import Fraction, Method, NonNegative, Step, register
from wiregrad.methods.rows import descend, rows_like
from wiregrad.methods.state import (
    Empty,
    Estimates,
    LargestMoments,
    MarkovServer,
    Replica,
    Residuals,
    ServerResidual,
    State,
)


@dataclass
class EstimateReplica:
    """x and g~, the estimate of the gradient that all workers hold; each `[..., d]`."""

    x: torch.Tensor
    g: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class AMSGradAtWorkers(SwitchedAMSGrad):
    """Base of the methods whose workers take AMSGrad's step, in the paper's own form by default.

    all     m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)
    """

    compressor: Compressor
    """C, of both links."""
    blocks: BlockKind = "whole"
    beta2: Fraction = 0.99


@dataclass(frozen=True, kw_only=True)
class SGDAtWorkers(Method):
    """Base of the methods whose workers take the step of SGD.

    all     x <- x - lr (g + weight_decay x)
    """

    compressor: Compressor
    """C, of both links."""
    blocks: BlockKind = "whole"
    weight_decay: NonNegative = 0.0
    """Of an L2 term: its gradient joins g once g is decoded."""

    def descend(self, x: torch.Tensor, g: torch.Tensor, step: Step) -> None:
        """Take the step along `g` `[..., d]`, in place."""
        if self.weight_decay:
            g = torch.add(g, x, alpha=self.weight_decay)
        descend(x, step.lr, g)


@register("naive_two_way")
@dataclass(frozen=True, kw_only=True)
class NaiveTwoWay(AMSGradAtWorkers):
    """AMSGrad with naive compression on both links: what compression drops is lost.

    worker  send c_i = C(g_i)
    server  broadcast c = C(mean c_i)
    all     m <- b1 m + (1-b1) c;  v <- b2 v + (1-b2) c^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)
    """

    source = "arXiv 2111.00705, baseline: naive compression on both links"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Empty(), self.moments(x0))

    def work(
        self, workers: Empty, replica: LargestMoments, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)

    def serve(self, server: Empty, received: Received, down: Channel, step: Step) -> None:
        down(self.compressor, received.mean())

    def move(self, replica: LargestMoments, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica, broadcast, step)


@register("ef_two_way")
@dataclass(frozen=True, kw_only=True)
class EFTwoWay(AMSGradAtWorkers):
    """AMSGrad with error feedback on both links; residuals are in units of gradients.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + E);  E <- E + mean c_i - c;  broadcast c
    all     m <- b1 m + (1-b1) c;  v <- b2 v + (1-b2) c^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)
    """

    source = "arXiv 2111.00705, baseline: error feedback on both links"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = ServerResidual(torch.zeros_like(x0))
        return State(Residuals(rows_like(x0, n)), server, self.moments(x0))

    def work(
        self,
        workers: Residuals,
        replica: LargestMoments,
        grads: torch.Tensor,
        up: Channel,
        step: Step,
    ) -> None:
        up.error_feedback(self.compressor, grads, workers.error)

    def serve(self, server: ServerResidual, received: Received, down: Channel, step: Step) -> None:
        down.error_feedback(self.compressor, received.mean(), server.error)

    def move(self, replica: LargestMoments, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica, broadcast, step)


@register("double_squeeze")
@dataclass(frozen=True, kw_only=True)
class DoubleSqueeze(SGDAtWorkers):
    """DoubleSqueeze: SGD with error feedback on both links.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + E);  E <- E + mean c_i - c;  broadcast c
    all     x <- x - lr c
    """

    source = "arXiv 1905.05957 (DoubleSqueeze)"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = ServerResidual(torch.zeros_like(x0))
        return State(Residuals(rows_like(x0, n)), server, Replica(x0.clone()))

    def work(
        self, workers: Residuals, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, grads, workers.error)

    def serve(self, server: ServerResidual, received: Received, down: Channel, step: Step) -> None:
        down.error_feedback(self.compressor, received.mean(), server.error)

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        self.descend(replica.x, broadcast, step)


@register("ef21_two_way")
@dataclass(frozen=True, kw_only=True)
class EF21TwoWay(SGDAtWorkers):
    """EF21 on both links with SGD: CD-Adam without its moments.

    g^_i = g^ = g~ = 0;  then
    worker  c_i = C(g_i - g^_i);  g^_i <- g^_i + c_i;  send c_i
    server  g^ <- g^ + mean c_i;  c = C(g^ - g~);  g~ <- g~ + c;  broadcast c
    all     g~ <- g~ + c;  x <- x - lr g~

    `ef21_bc` starts from exact estimates instead, and has a compressor for each link.
    """

    source = "arXiv 2111.00705, baseline: EF21 (SGD), in the form of its CD-Adam"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = MarkovServer(torch.zeros_like(x0), torch.zeros_like(x0))
        replica = EstimateReplica(x0.clone(), torch.zeros_like(x0))
        return State(Estimates(rows_like(x0, n)), server, replica)

    def work(
        self,
        workers: Estimates,
        replica: EstimateReplica,
        grads: torch.Tensor,
        up: Channel,
        step: Step,
    ) -> None:
        workers.h += up(self.compressor, grads - workers.h, relative_to=grads)

    def serve(self, server: MarkovServer, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.w += down(self.compressor, server.g - server.w)

    def move(self, replica: EstimateReplica, broadcast: torch.Tensor, step: Step) -> None:
        replica.g += broadcast
        self.descend(replica.x, replica.g, step)
