"""1-bit Adam on gradients: the variant that CD-Adam's authors ran (arXiv 2111.00705)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.compressors.sign import ScaledSign
from wiregrad.methods.amsgrad import root
from wiregrad.methods.base import Step, register
from wiregrad.methods.one_bit_adam import OneBitAdamPublished
from wiregrad.methods.state import Moments, Residuals


@register("one_bit_adam_gradients")
@dataclass(frozen=True, kw_only=True)
class OneBitAdamGradients(OneBitAdamPublished):
    """1-bit Adam that compresses gradients in place of momenta, both ways.

    warm-up as 1-bit Adam;  then, with v frozen
    worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i;  send c_i
    server  c = C(mean c_i + e);  e <- e + mean c_i - c;  broadcast c
    all     m <- b1 m + (1-b1) c;  x <- x - lr m / (sqrt(v) + eps)
    """

    source = (
        "arXiv 2111.00705, the code of its authors: a variant of arXiv 2102.02888; that gradients "
        "are compressed is all we know of it, the rest is 1-bit Adam as published"
    )

    compressor: Compressor = ScaledSign()

    def work(
        self, workers: Residuals, replica: Moments, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if self.warming_up(step):
            super().work(workers, replica, grads, up, step)
        else:
            up.error_feedback(self.compressor, grads, workers.error)

    def move(self, replica: Moments, broadcast: torch.Tensor, step: Step) -> None:
        if self.warming_up(step):
            super().move(replica, broadcast, step)
        else:
            replica.m.lerp_(broadcast, 1 - self.beta1)
            denominator = root(replica.v, self.eps, self.eps_inside)
            replica.x.addcdiv_(replica.m, denominator, value=-step.lr)
