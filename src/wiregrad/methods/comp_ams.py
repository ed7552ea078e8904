"""COMP-AMS and Dist-AMS (Li, Karimi, Li, ICLR 2022, arXiv 2205.05632)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.methods.amsgrad import AMSGradServer
from wiregrad.methods.base import Step, register
from wiregrad.methods.rows import in_turn
from wiregrad.methods.state import Empty, Replica, Residuals, State


@register("comp_ams")
@dataclass(frozen=True, kw_only=True)
class CompAMS(AMSGradServer):
    """COMP-AMS: error feedback at the workers, AMSGrad at the server.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  g = mean c_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps);  broadcast x

    C is `compressor`, b1 and b2 are `beta1` and `beta2`, lr is the paper's η.
    """

    source = "arXiv 2205.05632, Algorithm 2"
    partial = "arrived"

    compressor: Compressor
    """C, contractive."""
    shared_state: bool = False
    """One residual for all workers, who use it in turn (an aliasing of the published scripts)."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        error = x0.new_zeros(1 if self.shared_state else n, x0.numel())
        return State(Residuals(error), self.moments(x0), Replica(x0.clone()))

    def work(
        self, workers: Residuals, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        for g in in_turn(grads, self.shared_state):
            up.error_feedback(self.compressor, g, workers.error)


@register("dist_ams")
@dataclass(frozen=True, kw_only=True)
class DistAMS(AMSGradServer):
    """Dist-AMS: COMP-AMS without compression.

    worker  send g_i
    server  g = mean g_i;  then as COMP-AMS
    """

    source = "arXiv 2205.05632, baseline: COMP-AMS with the identity"
    partial = "arrived"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), self.moments(x0), Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)
