"""Adam's moments and the AMSGrad server, for the methods that use them; no bias correction."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad import kernels
from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.kernels.dense import amsgrad_step, plain_amsgrad_step
from wiregrad.methods.base import Fraction, Method, PositiveFloat, Step


def update_moments(
    m: torch.Tensor, v: torch.Tensor, g: torch.Tensor, beta1: float, beta2: float
) -> None:
    """One step of the moments, in place: m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2."""
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)


def root(v: torch.Tensor, eps: float, eps_inside: bool) -> torch.Tensor:
    """sqrt(v + eps), or sqrt(v) + eps, as a new tensor."""
    return (v + eps).sqrt_() if eps_inside else v.sqrt().add_(eps)


@dataclass
class Server:
    """x, the moments and the running maximum of the second, each `[d]`."""

    x: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor
    v_hat: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class AMSGrad(Method):
    """Base of the methods whose server runs AMSGrad on the mean of what it receives.

    server  g = mean c_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps);  broadcast x
    """

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v^ + eps), the text; else sqrt(v^) + eps, the published scripts."""

    def server(self, x0: torch.Tensor) -> Server:
        """The server's state before round 1."""
        return Server(x0.clone(), *(torch.zeros_like(x0) for _ in range(3)))

    def serve(self, server: Server, received: Received, down: Channel, step: Step) -> None:
        update = amsgrad_step if kernels.supports(server.x) else plain_amsgrad_step
        update(
            server.x,
            server.m,
            server.v,
            server.v_hat,
            received.mean(0),
            lr=step.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            eps_inside=self.eps_inside,
        )
        down.dense(server.x)
