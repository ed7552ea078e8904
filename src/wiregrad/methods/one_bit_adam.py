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
from wiregrad.methods.base import Fraction, Method, PositiveFloat, Step, register
from wiregrad.methods.state import Empty, Moments, Residuals, ServerResidual, State

Warmup = Annotated[float, pydantic.Field(gt=0, le=1)]


@register("one_bit_adam")
@dataclass(frozen=True, kw_only=True)
class OneBitAdam(Method):
    """1-bit Adam as COMP-AMS ran it: compressed on the way up only.

    warm-up, the first W rounds: `warmup_rounds`, or the share `warmup` of all (at least one)
    worker  send g_i
    server  broadcast g = mean g_i
    all     m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  x <- x - lr m / sqrt(v + eps)

    then, with v frozen
    worker  m_i = b1 m + (1-b1) g_i;  c_i = C(m_i + e_i);  e_i <- e_i + m_i - c_i;  send c_i
    server  broadcast mean c_i
    all     m <- mean c_i;  x <- x - lr m / sqrt(v + eps)

    C is `compressor`; b1, b2 are `beta1`, `beta2`. Every worker runs Adam on what it is sent. The
    paper charges the warm-up as if it were compressed, and so does its bit convention here; on the
    wire it is dense.
    """

    source = "arXiv 2102.02888, in the form that arXiv 2205.05632 ran"

    compressor: Compressor = ScaledSign()
    """C."""
    blocks: BlockKind = "per_tensor"
    warmup: Warmup = 0.05
    """Share of all rounds that the budget allows, in (0, 1]."""
    warmup_rounds: Annotated[int, pydantic.Field(gt=0)] | None = None
    """Rounds of warm-up, whatever the budget; `warmup` then has no effect."""
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v + eps); else sqrt(v) + eps."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        replica = Moments(x0.clone(), torch.zeros_like(x0), torch.zeros_like(x0))
        return State(Residuals(x0.new_zeros(n, x0.numel())), Empty(), replica)

    def warming_up(self, step: Step) -> bool:
        """Whether this round is one of the warm-up: v must see a gradient before it freezes."""
        if self.warmup_rounds is not None:
            return step.t <= self.warmup_rounds
        return step.t <= max(1, round(self.warmup * step.total))

    def work(
        self, workers: Residuals, replica: Moments, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if self.warming_up(step):
            up.dense(grads, priced_as=self.compressor)
        else:
            m = torch.lerp(grads, replica.m, self.beta1)
            up.error_feedback(self.compressor, m, workers.error)

    def serve(self, server: Any, received: Received, down: Channel, step: Step) -> None:
        down.dense(received.mean())

    def move(self, replica: Moments, broadcast: torch.Tensor, step: Step) -> None:
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

    C(x) = sign(x) ‖x‖_2 / sqrt(d), which keeps the norm; the denominator is sqrt(v) + eps. The
    second phase differs from the one-way form:

    server  c = C(mean c_i + e);  e <- e + mean c_i - c;  broadcast c
    all     m <- c;  x <- x - lr m / (sqrt(v) + eps)
    """

    source = "arXiv 2102.02888, recalled: the text was not at hand"

    compressor: Compressor = ScaledSign(norm="l2")
    blocks: BlockKind = "whole"
    eps_inside: bool = False

    def init(self, x0: torch.Tensor, n: int) -> State:
        return super().init(x0, n)._replace(server=ServerResidual(torch.zeros_like(x0)))

    def serve(self, server: ServerResidual, received: Received, down: Channel, step: Step) -> None:
        if self.warming_up(step):
            down.dense(received.mean())
        else:
            down.error_feedback(self.compressor, received.mean(), server.error)
