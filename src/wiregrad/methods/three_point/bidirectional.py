"""Three-point compressors in both directions: EF21-BC, bidirectional 3PC and AdaCGD."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, State, Step, register
from wiregrad.methods.three_point import adacgd, mechanisms
from wiregrad.methods.three_point.gradient_descent import Workers, advance, estimates
from wiregrad.methods.three_point.mechanisms import ThreePointCompressor


@dataclass
class Server:
    """The mean g of the workers' estimates `[..., d]`; of the server's own, h and y `[..., 1, d]`.

    h is what it has told everyone, y the mean of the round before (`[..., 1, 0]` if unused).
    """

    g: torch.Tensor
    own: torch.Tensor
    before: torch.Tensor


@dataclass
class Replica:
    """x and the server's estimate w, each `[..., d]`: the workers move x themselves."""

    x: torch.Tensor
    w: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class TwoWay(Method):
    """Base of the methods with a three-point compressor each way."""

    @abstractmethod
    def mechanisms(self) -> tuple[ThreePointCompressor, ThreePointCompressor]:
        """The one of the workers and the one of the server."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        uplink, downlink = self.mechanisms()
        server = estimates(downlink, x0, 1)
        return State(
            estimates(uplink, x0, n),
            Server(torch.zeros_like(x0), server.h, server.y),
            Replica(x0.clone(), torch.zeros_like(x0)),
        )

    def work(
        self, workers: Workers, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        advance(self.mechanisms()[0], workers, grads, up, step)

    def serve(self, server: Server, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        own = Workers(server.own, server.before)
        advance(self.mechanisms()[1], own, server.g[..., None, :], down, step)

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        replica.w += broadcast
        replica.x -= step.lr * replica.w


@register("ef21_bc")
@dataclass(frozen=True, kw_only=True)
class EF21BC(TwoWay):
    """EF21-BC: EF21 both ways.

    round 1
    worker  g_i = ∇f_i;  send g_i
    server  w = g = mean g_i;  broadcast w
    then
    worker  c_i = C(∇f_i - g_i);  g_i <- g_i + c_i;  send c_i
    server  g <- g + mean c_i;  c = C_M(g - w);  w <- w + c;  broadcast c
    all     w <- w + c;  x <- x - lr w
    """

    source = "arXiv 2110.03294 (EF21-BC)"

    compressor: Compressor
    server_compressor: Compressor
    """C_M."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"server_compressor": {"name": "top_k", "k": 3}}

    def mechanisms(self) -> tuple[ThreePointCompressor, ThreePointCompressor]:
        return (
            mechanisms.EF21(compressor=self.compressor),
            mechanisms.EF21(compressor=self.server_compressor),
        )


@register("bidirectional_3pc")
@dataclass(frozen=True, kw_only=True)
class Bidirectional3PC(TwoWay):
    """Bidirectional 3PC; with AdaCGD both ways, bidirectional AdaCGD.

    round 1
    worker  g_i = ∇f_i;  send g_i
    server  w = g = mean g_i;  broadcast w
    then
    worker  g_i <- C_{h,y}(∇f_i), h = g_i, y = previous ∇f_i;  send the change
    server  g <- mean g_i;  w <- C'_{h,y}(g), h = w, y = previous g;  broadcast the change
    all     w <- w + the change;  x <- x - lr w
    """

    source = "arXiv 2202.00998; arXiv 2211.00188 (bidirectional 3PC, bidirectional AdaCGD)"

    uplink: ThreePointCompressor
    """C, of the workers."""
    downlink: ThreePointCompressor
    """C', of the server."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {
            "uplink": {"name": "adacgd", **adacgd.AdaCGD.example()},
            "downlink": {"name": "lag", "zeta": 1.0},
        }

    def mechanisms(self) -> tuple[ThreePointCompressor, ThreePointCompressor]:
        return self.uplink, self.downlink
