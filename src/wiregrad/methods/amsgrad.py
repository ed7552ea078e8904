"""AMSGrad and Adam: the step, written once with all its switches, and the methods' base classes.

The formula is `plain_step`. `take_step` has the switches around it, and hands the formula to a
fused kernel where one takes the tensors: the same bits in one pass over memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.kernels.dense import amsgrad_step, nearest_root
from wiregrad.methods.base import Fraction, Method, NonNegative, PositiveFloat, Step
from wiregrad.methods.state import LargestMoments, Moments


class _Form(TypedDict):
    """The scalars of the formula."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    eps_inside: bool


def plain_step(
    x: torch.Tensor,
    m: torch.Tensor,
    v: torch.Tensor,
    v_hat: torch.Tensor | None,
    g: torch.Tensor,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    eps_inside: bool,
) -> None:
    """The formula of AMSGrad, or of Adam where `v_hat` is None; in place, on any device and dtype.

    m  <- beta1 m + (1-beta1) g
    v  <- beta2 v + (1-beta2) g^2
    v^ <- max(v^, v)
    x  <- x - lr m / sqrt(v^ + eps)

    See `take_step` for the arguments. Each operation is rounded on its own, as in the kernels;
    `lerp_` and `addcmul_` would leave it to the CPU whether product and sum are rounded together.
    """
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    largest = v if v_hat is None else torch.maximum(v_hat, v, out=v_hat)
    root = nearest_root(largest + eps) if eps_inside else nearest_root(largest) + eps
    x -= lr * m / root


def take_step(
    at: Moments,
    g: torch.Tensor,
    *,
    t: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_inside: bool = True,
    bias_correction: bool = False,
    weight_decay: float = 0.0,
) -> None:
    """One step of AMSGrad along the gradient `g` `[..., d]`, in place; of Adam without a maximum.

    Which paper takes it in which form:

    COMP-AMS (arXiv 2205.05632)   the defaults; its scripts have eps outside the root
    CD-Adam (arXiv 2111.00705)    beta2 = 0.99; its code also has eps outside the root,
                                  the bias correction and the weight decay
    Adam (arXiv 1412.6980)        no maximum, eps outside the root, the bias correction

    Args:
        at: x, m and v, zeros at first; v^ too (`LargestMoments`) for AMSGrad, else it is Adam.
        g: The gradient, or an estimate of it.
        t: Rounds so far with this one, from 1; the bias correction alone looks at it.
        lr: Learning rate, the papers' η or α, > 0; in a sweep a tensor `[R, 1]`.
        beta1: Decay β1 of the first moment, in [0, 1).
        beta2: Decay β2 of the second moment, in [0, 1).
        eps: ε > 0, in units of g^2 inside the root and of g outside.
        eps_inside: True: divide by sqrt(v^ + eps); False: by sqrt(v^) + eps.
        bias_correction: m / (1-beta1^t) and v^ / (1-beta2^t) in place of m and v^ as x moves, as in
            torch.optim.Adam.
        weight_decay: λ >= 0 of an L2 term: λx is added to g, before the moments.
    """
    if weight_decay:
        g = torch.add(g, at.x, alpha=weight_decay)
    if bias_correction:  # as another learning rate and another eps
        first, second = 1 - beta1**t, 1 - beta2**t
        lr = lr * math.sqrt(second) / first
        eps = eps * (second if eps_inside else math.sqrt(second))
    vectors = (at.x, at.m, at.v, at.v_hat if isinstance(at, LargestMoments) else None, g)
    form = _Form(lr=lr, beta1=beta1, beta2=beta2, eps=eps, eps_inside=eps_inside)
    if not amsgrad_step(*vectors, **form):
        plain_step(*vectors, **form)


@dataclass(frozen=True, kw_only=True)
class AMSGrad(Method):
    """Base of the methods that take AMSGrad's step: `take_step` documents the hyper-parameters."""

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v^ + eps); else sqrt(v^) + eps."""

    def moments(self, x0: torch.Tensor) -> LargestMoments:
        """The state of AMSGrad before round 1."""
        return LargestMoments(x0.clone(), *(torch.zeros_like(x0) for _ in range(3)))

    def descend(self, at: Moments, g: torch.Tensor, step: Step) -> None:
        """Take the step along `g` `[..., d]`, in place."""
        take_step(
            at,
            g,
            t=step.t,
            lr=step.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            eps_inside=self.eps_inside,
        )


@dataclass(frozen=True, kw_only=True)
class AMSGradServer(AMSGrad):
    """Base of the methods whose server runs AMSGrad on the mean of what it receives.

    server  g = mean c_i;  m <- beta1 m + (1-beta1) g;  v <- beta2 v + (1-beta2) g^2
            v^ <- max(v^, v);  x <- x - lr m / sqrt(v^ + eps);  broadcast x
    """

    def serve(self, server: LargestMoments, received: Received, down: Channel, step: Step) -> None:
        self.descend(server, received.mean(), step)
        down.dense(server.x)


@dataclass(frozen=True, kw_only=True)
class SwitchedAMSGrad(AMSGrad):
    """Base of the methods whose published code also corrects the bias or decays the weights."""

    bias_correction: bool = False
    """m / (1-beta1^t) and v^ / (1-beta2^t) as x moves, as in torch.optim.Adam."""
    weight_decay: NonNegative = 0.0
    """Of an L2 term: its gradient joins g once g is decoded, before the moments."""

    def descend(self, at: Moments, g: torch.Tensor, step: Step) -> None:
        take_step(
            at,
            g,
            t=step.t,
            lr=step.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            eps_inside=self.eps_inside,
            bias_correction=self.bias_correction,
            weight_decay=self.weight_decay,
        )


def update_moments(
    m: torch.Tensor, v: torch.Tensor, g: torch.Tensor, beta1: float, beta2: float
) -> None:
    """The moments alone, in place: m <- beta1 m + (1-beta1) g;  v <- beta2 v + (1-beta2) g^2.

    For the methods whose workers send Adam's direction: `[..., n, d]`, in torch alone.
    """
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)


def root(v: torch.Tensor, eps: float, eps_inside: bool) -> torch.Tensor:
    """sqrt(v + eps), or sqrt(v) + eps, as a new tensor: the denominator beside `update_moments`."""
    return (v + eps).sqrt_() if eps_inside else v.sqrt().add_(eps)
