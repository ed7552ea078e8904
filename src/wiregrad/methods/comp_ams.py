"""COMP-AMS (Li, Karimi, Li, ICLR 2022, arXiv 2205.05632)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.methods.base import Method, Replica, State, Step, register


@dataclass
class Workers:
    """Residuals `[n, d]` (`[1, d]` when shared)."""

    error: torch.Tensor


@dataclass
class Server:
    """x, the moments and the running maximum, each `[d]`."""

    x: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor
    v_hat: torch.Tensor


@register("comp_ams")
@dataclass(frozen=True, kw_only=True)
class CompAMS(Method):
    """COMP-AMS; with the identity it is Dist-AMS.

    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i
    server  g = mean c_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps);  broadcast x
    """

    source = "arXiv 2205.05632, Algorithm 2"

    compressor: Compressor = Identity()
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def init(self, x0: torch.Tensor, n: int) -> State:
        zeros = torch.zeros_like
        return State(
            Workers(x0.new_zeros(n, x0.numel())),
            Server(x0.clone(), zeros(x0), zeros(x0), zeros(x0)),
            Replica(x0.clone()),
        )

    def work(
        self, workers: Workers, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up.error_feedback(self.compressor, grads, workers.error)

    def serve(self, server: Server, received: torch.Tensor, down: Channel, step: Step) -> None:
        g = received.mean(0)
        server.m.lerp_(g, 1 - self.beta1)
        server.v.lerp_(g * g, 1 - self.beta2)
        torch.maximum(server.v_hat, server.v, out=server.v_hat)
        server.x.addcdiv_(server.m, (server.v_hat + self.eps).sqrt(), value=-step.lr)
        down.dense(server.x)
