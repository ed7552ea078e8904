"""COMP-AMS and Dist-AMS (Li, Karimi, Li, ICLR 2022, arXiv 2205.05632)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.methods.amsgrad import AMSGrad
from wiregrad.methods.base import Empty, Replica, State, Step, in_turn, register


@dataclass
class Workers:
    """Residuals `[n, d]`; `[1, d]` where all workers share one."""

    error: torch.Tensor


@register("comp_ams")
@dataclass(frozen=True, kw_only=True)
class CompAMS(AMSGrad):
    """COMP-AMS: error feedback at the workers, AMSGrad at the server.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  g = mean c_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps);  broadcast x
    """

    source = "arXiv 2205.05632, Algorithm 2"

    compressor: Compressor
    shared_state: bool = False
    """One residual for all workers, who use it in turn (an aliasing of the published scripts)."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        error = x0.new_zeros(1 if self.shared_state else n, x0.numel())
        return State(Workers(error), self.server(x0), Replica(x0.clone()))

    def work(
        self, workers: Workers, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        for g in in_turn(grads, self.shared_state):
            up.error_feedback(self.compressor, g, workers.error)


@register("dist_ams")
@dataclass(frozen=True, kw_only=True)
class DistAMS(AMSGrad):
    """Dist-AMS: COMP-AMS without compression.

    worker  send g_i
    server  as COMP-AMS
    """

    source = "arXiv 2205.05632, baseline: COMP-AMS with the identity"

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), self.server(x0), Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)
