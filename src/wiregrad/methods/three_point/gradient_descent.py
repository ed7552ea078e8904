"""3PC (Richtárik et al., ICML 2022, arXiv 2202.00998): gradient descent on estimates g_i.

The methods of this family have a three-point compressor each (`mechanisms`), and differ in nothing
else. In a run's configuration a method takes the hyper-parameters of its mechanism as its own.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, NonNegative, Probability, Step, register
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.rows import rows_like
from wiregrad.methods.state import GradientServer, Replica, State
from wiregrad.methods.three_point import mechanisms
from wiregrad.methods.three_point.base import ThreePointCompressor


@dataclass
class EstimatesAndPrevious:
    """Estimates h = g_i and previous gradients y, each `[..., n, d]`; y `[..., n, 0]` if unused."""

    h: torch.Tensor
    y: torch.Tensor


def estimates(mechanism: ThreePointCompressor, x0: torch.Tensor, n: int) -> EstimatesAndPrevious:
    """The state before round 1 of n senders of vectors like `x0` `[..., d]`."""
    y = rows_like(x0, n, None if mechanism.looks_back else 0)
    return EstimatesAndPrevious(rows_like(x0, n), y)


def advance(
    mechanism: ThreePointCompressor,
    state: EstimatesAndPrevious,
    x: torch.Tensor,
    channel: Channel,
    step: Step,
) -> None:
    """g_i <- C_{h,y}(x) with h = g_i, sent over `channel`; in round 1, where h = 0, exactly x."""
    if step.t == 1:
        channel.dense(x)
        state.h.copy_(x)
    else:
        state.h.copy_(mechanism.send(state.h, state.y, x, channel, step))
    if mechanism.looks_back:
        state.y.copy_(x)


@dataclass(frozen=True, kw_only=True)
class ThreePC(Method):
    """Base of the methods that have a three-point compressor C_{h,y}(x), their `mechanism`.

    round 1
    worker  g_i = ∇f_i(x);  send g_i
    then, with h = g_i, y = the previous gradient, x = the present one
    worker  g_i <- C_{h,y}(x);  send g_i - h
    server  g <- g + mean (g_i - h), which is mean g_i;  x <- x - lr g;  broadcast x

    Source: arXiv 2202.00998 (3PC); lr is its γ.
    """

    sweepable = True

    @property
    @abstractmethod
    def mechanism(self) -> ThreePointCompressor:
        """The three-point compressor with the method's hyper-parameters."""

    def __post_init__(self) -> None:
        _ = self.mechanism  # refuses hyper-parameters that it cannot take, before a run begins

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = GradientServer(x0.clone(), torch.zeros_like(x0))
        return State(estimates(self.mechanism, x0, n), server, Replica(x0.clone()))

    def work(
        self,
        workers: EstimatesAndPrevious,
        replica: Replica,
        grads: torch.Tensor,
        up: Channel,
        step: Step,
    ) -> None:
        advance(self.mechanism, workers, grads, up, step)

    def serve(self, server: GradientServer, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.x -= step.lr * server.g
        down.dense(server.x)

    def premises(self, size: Dimensions) -> ThreePoint:
        return ThreePoint(self.mechanism.constants(size))


@register("clag")
@dataclass(frozen=True, kw_only=True)
class CLAG(ThreePC):
    """CLAG: EF21 under LAG's trigger.

    worker  where ‖∇f_i - g_i‖² > zeta ‖∇f_i - previous ∇f_i‖²:
              c_i = C(∇f_i - g_i);  g_i <- g_i + c_i;  send c_i
            else nothing
    server  g <- g + mean c_i;  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (CLAG)"

    compressor: Compressor
    """C, contractive."""
    zeta: NonNegative
    """ζ, of the trigger: >= 0; 0 is EF21."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"zeta": 1.0}

    @property
    def mechanism(self) -> mechanisms.CLAGMechanism:
        return mechanisms.CLAGMechanism(compressor=self.compressor, zeta=self.zeta)


@register("three_pc_v1")
@dataclass(frozen=True, kw_only=True)
class ThreePCv1(ThreePC):
    """3PCv1: an ideal whose messages cannot be made cheap.

    worker  g_i <- y + C(∇f_i - y), y = previous ∇f_i;  send the change of g_i, densely
    server  g <- mean g_i;  x <- x - lr g;  broadcast x

    The server does not hold y, so d values a message are sent and counted; the published code
    counts the K of C.
    """

    source = "arXiv 2202.00998 (3PCv1)"

    compressor: Compressor
    """C, contractive and without draws."""

    @property
    def mechanism(self) -> mechanisms.ThreePCv1Mechanism:
        return mechanisms.ThreePCv1Mechanism(compressor=self.compressor)


@register("three_pc_v2")
@dataclass(frozen=True, kw_only=True)
class ThreePCv2(ThreePC):
    """3PCv2: a message of two parts, Q unbiased and C contractive.

    worker  q_i = Q(∇f_i - previous ∇f_i);  b = g_i + q_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send q_i, c_i
    server  g <- g + mean (q_i + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv2)"

    compressor: Compressor
    """C, contractive."""
    unbiased: Compressor
    """Q."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"unbiased": {"name": "rand_k", "k": 3, "scaled": True}}

    @property
    def mechanism(self) -> mechanisms.ThreePCv2Mechanism:
        return mechanisms.ThreePCv2Mechanism(compressor=self.compressor, unbiased=self.unbiased)


@register("three_pc_v3")
@dataclass(frozen=True, kw_only=True)
class ThreePCv3(ThreePC):
    """3PCv3: another three-point compressor C', then C on what it leaves.

    worker  b = C'_{h,y}(∇f_i), h = g_i, y = previous ∇f_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send b - h, c_i
    server  g <- g + mean (b - h + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv3), recalled"

    compressor: Compressor
    """C, contractive."""
    inner: ThreePointCompressor
    """C'."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"inner": {"name": "lag", "zeta": 2.0}}

    @property
    def mechanism(self) -> mechanisms.ThreePCv3Mechanism:
        return mechanisms.ThreePCv3Mechanism(compressor=self.compressor, inner=self.inner)


@register("three_pc_v4")
@dataclass(frozen=True, kw_only=True)
class ThreePCv4(ThreePC):
    """3PCv4: EF21 with two contractive compressors in a row.

    worker  s_i = C_2(∇f_i - g_i);  b = g_i + s_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send s_i, c_i
    server  g <- g + mean (s_i + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv4)"

    compressor: Compressor
    """C, contractive: the paper's C_1."""
    second: Compressor
    """C_2, contractive."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"second": {"name": "top_k", "k": 2}}

    @property
    def mechanism(self) -> mechanisms.ThreePCv4Mechanism:
        return mechanisms.ThreePCv4Mechanism(compressor=self.compressor, second=self.second)


@register("three_pc_v5")
@dataclass(frozen=True, kw_only=True)
class ThreePCv5(ThreePC):
    """3PCv5: a biased MARINA; one coin, which server and workers all see, shows heads with p.

    worker  heads: g_i <- ∇f_i, send the change;  else c_i = C(∇f_i - previous ∇f_i);
            g_i <- g_i + c_i;  send c_i
    server  g <- g + mean of what was sent;  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv5)"

    compressor: Compressor
    """C, contractive."""
    p: Probability
    """Of heads, in (0, 1]."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"p": 0.3}

    @property
    def mechanism(self) -> mechanisms.ThreePCv5Mechanism:
        return mechanisms.ThreePCv5Mechanism(compressor=self.compressor, p=self.p)
