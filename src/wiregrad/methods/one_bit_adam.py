"""1-bit Adam (Tang et al., ICML 2021, arXiv 2102.02888): Adam with its second moment frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.compressors.sign import ScaledSign
from wiregrad.core.layout import BlockKind
from wiregrad.methods.amsgrad import root, update_moments
from wiregrad.methods.base import Empty, Fraction, Method, PositiveFloat, State, Step, register

Warmup = Annotated[float, pydantic.Field(gt=0, le=1)]


@dataclass
class Workers:
    """Residuals `[n, d]`."""

    error: torch.Tensor


@dataclass
class Server:
    """The server's residual `[d]`."""

    error: torch.Tensor


@dataclass
class Replica:
    """x and both moments, each `[d]`: every worker runs Adam on what the server broadcasts."""

    x: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor


@register("one_bit_adam")
@dataclass(frozen=True, kw_only=True)
class OneBitAdam(Method):
    """1-bit Adam as COMP-AMS ran it: compressed on the way up only.

    warm-up, the first W = `warmup` of all rounds (one at the least)
    worker  send g_i
    server  broadcast g = mean g_i
    all     m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  x <- x - lr m / sqrt(v + eps)

    then, with v as it is
    worker  m_i = b1 m + (1-b1) g_i;  c_i = C(m_i + e_i);  e_i <- e_i + m_i - c_i;  send c_i
    server  broadcast mean c_i
    all     m <- mean c_i;  x <- x - lr m / sqrt(v + eps)

    The paper's books charge the warm-up as if it were compressed; the wire does not.
    """

    source = "arXiv 2102.02888, in the form that arXiv 2205.05632 ran"

    compressor: Compressor = ScaledSign()
    blocks: BlockKind = "per_tensor"
    warmup: Warmup = 0.05
    """Fraction of all rounds that the budget allows."""
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v + eps); else sqrt(v) + eps."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        replica = Replica(x0.clone(), torch.zeros_like(x0), torch.zeros_like(x0))
        return State(Workers(x0.new_zeros(n, x0.numel())), Empty(), replica)

    def warming_up(self, step: Step) -> bool:
        """Whether this round is one of the warm-up: v must see a gradient before it freezes."""
        return step.t <= max(1, round(self.warmup * step.total))

    def work(
        self, workers: Workers, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if self.warming_up(step):
            up.dense(grads, priced_as=self.compressor)
        else:
            m = torch.lerp(grads, replica.m, self.beta1)
            up.error_feedback(self.compressor, m, workers.error)

    def serve(self, server: Any, received: Received, down: Channel, step: Step) -> None:
        down.dense(received.mean(0))

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        if self.warming_up(step):
            update_moments(replica.m, replica.v, broadcast, self.beta1, self.beta2)
        else:
            replica.m.copy_(broadcast)
        denominator = root(replica.v, self.eps, self.eps_inside)
        replica.x.addcdiv_(replica.m, denominator, value=-step.lr)


@register("one_bit_adam_published")
@dataclass(frozen=True, kw_only=True)
class OneBitAdamPublished(OneBitAdam):
    """1-bit Adam as its authors published it: the server compresses too.

    The norm-preserving sign is C = sign ||x||_2 / sqrt(d); the root is sqrt(v) + eps. Differs from
    the one-way form in the second phase:

    server  c = C(mean c_i + e);  e <- e + mean c_i - c;  broadcast c
    all     m <- c;  x <- x - lr m / (sqrt(v) + eps)
    """

    source = "arXiv 2102.02888, recalled: the text was not at hand"

    compressor: Compressor = ScaledSign(norm="l2")
    blocks: BlockKind = "whole"
    eps_inside: bool = False

    def init(self, x0: torch.Tensor, n: int) -> State:
        return super().init(x0, n)._replace(server=Server(torch.zeros_like(x0)))

    def serve(self, server: Server, received: Received, down: Channel, step: Step) -> None:
        if self.warming_up(step):
            down.dense(received.mean(0))
        else:
            down.error_feedback(self.compressor, received.mean(0), server.error)
