"""The step of Adam and AMSGrad with the switches of their implementations; distributed Adam."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from wiregrad import kernels
from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.kernels.dense import amsgrad_step, plain_amsgrad_step
from wiregrad.methods.base import (
    Empty,
    Fraction,
    Method,
    PositiveFloat,
    Replica,
    State,
    Step,
    register,
)
from wiregrad.methods.three_point.mechanisms import NonNegative


@dataclass
class Moments:
    """x and Adam's moments m, v, each `[..., d]`."""

    x: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor


@dataclass
class LargestMoments(Moments):
    """With the running maximum of v `[..., d]`, for AMSGrad."""

    v_hat: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Adaptive(Method):
    """Base of the methods that take the step of Adam or AMSGrad, at the server or at each worker.

    u = g + weight_decay x;  m <- b1 m + (1-b1) u;  v <- b2 v + (1-b2) u^2;  v^ <- max(v^, v)
    x <- x - lr m / sqrt(v^ + eps);  Adam: v itself in place of v^
    """

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v^ + eps); else sqrt(v^) + eps."""
    bias_correction: bool = False
    """m / (1 - b1^t) and v^ / (1 - b2^t) in x's step, as in torch.optim.Adam."""
    weight_decay: NonNegative = 0.0
    """Of an L2 term: its gradient joins g once g is decoded, before the moments."""

    def descend(self, at: Moments, g: torch.Tensor, step: Step) -> None:
        """Take the step along `g` `[..., d]`, in place."""
        if self.weight_decay:
            g = torch.add(g, at.x, alpha=self.weight_decay)
        lr, eps = step.lr, self.eps
        if self.bias_correction:  # both divisions, as another rate and another eps
            first, second = 1 - self.beta1**step.t, 1 - self.beta2**step.t
            lr = lr * math.sqrt(second) / first
            eps = eps * (second if self.eps_inside else math.sqrt(second))
        fused = at.x.dim() == 1 and kernels.supports(at.x, g)
        update = amsgrad_step if fused else plain_amsgrad_step
        update(
            at.x,
            at.m,
            at.v,
            at.v_hat if isinstance(at, LargestMoments) else None,
            g,
            lr=lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=eps,
            eps_inside=self.eps_inside,
        )


@register("dist_adam")
@dataclass(frozen=True, kw_only=True)
class DistAdam(Adaptive):
    """Distributed Adam: Adam on the mean of dense gradients, that of torch.optim.Adam.

    worker  send g_i
    server  g = mean g_i;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2
            x <- x - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps);  broadcast x
    """

    source = "arXiv 1412.6980 (Adam), on the mean of the workers' gradients"

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
