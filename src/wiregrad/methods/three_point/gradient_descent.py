"""3PC (Richtárik et al., ICML 2022, arXiv 2202.00998): gradient descent on estimates g_i.

The methods of this family differ in their three-point compressor alone (`mechanisms`).
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.methods.base import Method, Replica, State, Step, register
from wiregrad.methods.three_point import mechanisms
from wiregrad.methods.three_point.mechanisms import ThreePointCompressor


@dataclass
class Workers:
    """Estimates h = g_i and previous gradients y, each `[..., n, d]`; y `[..., n, 0]` if unused."""

    h: torch.Tensor
    y: torch.Tensor


@dataclass
class Server:
    """x and g, the mean of the estimates, each `[..., d]`."""

    x: torch.Tensor
    g: torch.Tensor


def rows_like(x: torch.Tensor, n: int, d: int | None = None) -> torch.Tensor:
    """Zeros `[..., n, d]` for n workers at `x` `[..., d]`; another last dimension if given."""
    return x.new_zeros(*x.shape[:-1], n, x.shape[-1] if d is None else d)


def estimates(mechanism: ThreePointCompressor, x0: torch.Tensor, n: int) -> Workers:
    """The workers' state before round 1."""
    return Workers(rows_like(x0, n), rows_like(x0, n, None if mechanism.looks_back else 0))


def advance(
    mechanism: ThreePointCompressor, state: Workers, x: torch.Tensor, channel: Channel, step: Step
) -> None:
    """g_i <- C_{h,y}(x) with h = g_i, sent over `channel`; exactly x in round 1, where h = 0."""
    if step.t == 1:
        channel.dense(x)
        state.h.copy_(x)
    else:
        state.h.copy_(mechanism.send(state.h, state.y, x, channel, step))
    if mechanism.looks_back:
        state.y.copy_(x)


@dataclass(frozen=True, kw_only=True)
class ThreePC(Method, ThreePointCompressor, ABC):
    """Base of the methods that are a three-point compressor C_{h,y}(x).

    round 1
    worker  g_i = ∇f_i(x);  send g_i
    then, with h = g_i, y = the previous gradient, x = the present one
    worker  g_i <- C_{h,y}(x);  send g_i - h
    server  g <- g + mean (g_i - h), which is mean g_i;  x <- x - lr g;  broadcast x
    """

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = Server(x0.clone(), torch.zeros_like(x0))
        return State(estimates(self, x0, n), server, Replica(x0.clone()))

    def work(
        self, workers: Workers, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        advance(self, workers, grads, up, step)

    def serve(self, server: Server, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.x -= step.lr * server.g
        down.dense(server.x)


@register("clag")
@dataclass(frozen=True, kw_only=True)
class CLAG(ThreePC, mechanisms.CLAG):
    """CLAG: EF21 under LAG's trigger.

    worker  where ‖∇f_i - g_i‖² > zeta ‖∇f_i - previous ∇f_i‖²:
              c_i = C(∇f_i - g_i);  g_i <- g_i + c_i;  send c_i
            else nothing
    server  g <- g + mean c_i;  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (CLAG)"

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"zeta": 1.0}


@register("three_pc_v1")
@dataclass(frozen=True, kw_only=True)
class ThreePCv1(ThreePC, mechanisms.ThreePCv1):
    """3PCv1: an ideal that no wire can make cheap.

    worker  g_i <- y + C(∇f_i - y), y = previous ∇f_i;  send the change of g_i, densely
    server  g <- mean g_i;  x <- x - lr g;  broadcast x

    The server does not hold y, so that d values a message are sent and counted; the published
    code counts the K of C.
    """

    source = "arXiv 2202.00998 (3PCv1)"


@register("three_pc_v2")
@dataclass(frozen=True, kw_only=True)
class ThreePCv2(ThreePC, mechanisms.ThreePCv2):
    """3PCv2: a message of two parts, Q unbiased and C contractive.

    worker  q_i = Q(∇f_i - previous ∇f_i);  b = g_i + q_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send q_i, c_i
    server  g <- g + mean (q_i + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv2)"

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"unbiased": {"name": "rand_k", "k": 3, "scaled": True}}


@register("three_pc_v3")
@dataclass(frozen=True, kw_only=True)
class ThreePCv3(ThreePC, mechanisms.ThreePCv3):
    """3PCv3: another three-point compressor C', then C on what it leaves.

    worker  b = C'_{h,y}(∇f_i), h = g_i, y = previous ∇f_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send b - h, c_i
    server  g <- g + mean (b - h + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv3), recalled"

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"inner": {"name": "lag", "zeta": 2.0}}


@register("three_pc_v4")
@dataclass(frozen=True, kw_only=True)
class ThreePCv4(ThreePC, mechanisms.ThreePCv4):
    """3PCv4: EF21 with two contractive compressors in a row.

    worker  s_i = C_2(∇f_i - g_i);  b = g_i + s_i;  c_i = C(∇f_i - b)
            g_i <- b + c_i;  send s_i, c_i
    server  g <- g + mean (s_i + c_i);  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv4)"

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"second": {"name": "top_k", "k": 2}}


@register("three_pc_v5")
@dataclass(frozen=True, kw_only=True)
class ThreePCv5(ThreePC, mechanisms.ThreePCv5):
    """3PCv5: a biased MARINA; one coin, which server and workers all see, shows heads with p.

    worker  heads: g_i <- ∇f_i, send the change;  else c_i = C(∇f_i - previous ∇f_i);
            g_i <- g_i + c_i;  send c_i
    server  g <- g + mean of what was sent;  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (3PCv5)"

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"p": 0.3}
