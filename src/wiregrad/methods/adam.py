"""Distributed Adam (Kingma, Ba, ICLR 2015, arXiv 1412.6980, on the mean of dense gradients)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.methods.amsgrad import SwitchedAMSGrad
from wiregrad.methods.base import Step, register
from wiregrad.methods.state import Empty, Moments, Replica, State


@register("dist_adam")
@dataclass(frozen=True, kw_only=True)
class DistAdam(SwitchedAMSGrad):
    """Distributed Adam: Adam on the mean of dense gradients, that of torch.optim.Adam.

    worker  send g_i
    server  g = mean g_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2
            x <- x - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps);  broadcast x

    b1, b2 are `beta1`, `beta2`; lr is the paper's α.
    """

    source = "arXiv 1412.6980 (Adam), on the mean of the workers' gradients"
    partial = "arrived"
    sweepable = True

    eps_inside: bool = False
    bias_correction: bool = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = Moments(x0.clone(), torch.zeros_like(x0), torch.zeros_like(x0))
        return State(Empty(), server, Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.dense(grads)

    def serve(self, server: Moments, received: Received, down: Channel, step: Step) -> None:
        self.descend(server, received.mean(), step)
        down.dense(server.x)
