"""Three-point compressors in both directions: EF21-BC, bidirectional 3PC and AdaCGD."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.methods.base import Method, Step, register
from wiregrad.methods.premises import Dimensions, ThreePointBothWays
from wiregrad.methods.state import State
from wiregrad.methods.three_point.adacgd import AdaCGD
from wiregrad.methods.three_point.base import ThreePointCompressor
from wiregrad.methods.three_point.gradient_descent import EstimatesAndPrevious, advance, estimates
from wiregrad.methods.three_point.mechanisms import EF21Mechanism


@dataclass
class BidirectionalServer:
    """The mean g of the workers' estimates `[..., d]`; the server's own h and y `[..., 1, d]`.

    h is `own`, what it has told everyone; y is `before`, g of the previous round, `[..., 1, 0]` if
    unused.
    """

    g: torch.Tensor
    own: torch.Tensor
    before: torch.Tensor


@dataclass
class BidirectionalReplica:
    """x and the server's estimate w, each `[..., d]`: the workers move x themselves."""

    x: torch.Tensor
    w: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Bidirectional(Method):
    """Base of the methods that have a three-point compressor for each link."""

    sweepable = True

    @property
    @abstractmethod
    def mechanisms(self) -> tuple[ThreePointCompressor, ThreePointCompressor]:
        """The one of the workers, and the one of the server."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        uplink, downlink = self.mechanisms
        own = estimates(downlink, x0, 1)
        return State(
            estimates(uplink, x0, n),
            BidirectionalServer(torch.zeros_like(x0), own.h, own.y),
            BidirectionalReplica(x0.clone(), torch.zeros_like(x0)),
        )

    def work(
        self,
        workers: EstimatesAndPrevious,
        replica: BidirectionalReplica,
        grads: torch.Tensor,
        up: Channel,
        step: Step,
    ) -> None:
        uplink, _ = self.mechanisms
        advance(uplink, workers, grads, up, step)

    def serve(
        self, server: BidirectionalServer, received: Received, down: Channel, step: Step
    ) -> None:
        _, downlink = self.mechanisms
        server.g += received.mean()
        own = EstimatesAndPrevious(server.own, server.before)
        advance(downlink, own, server.g[..., None, :], down, step)

    def move(self, replica: BidirectionalReplica, broadcast: torch.Tensor, step: Step) -> None:
        replica.w += broadcast
        replica.x -= step.lr * replica.w

    def premises(self, size: Dimensions) -> ThreePointBothWays:
        uplink, downlink = (each.constants(size) for each in self.mechanisms)
        return ThreePointBothWays(uplink, downlink)


@register("ef21_bc")
@dataclass(frozen=True, kw_only=True)
class EF21BC(Bidirectional):
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
    partial = "padded"

    compressor: Compressor
    """C, of the workers; contractive."""
    server_compressor: Compressor
    """C_M, of the server; contractive."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"server_compressor": {"name": "top_k", "k": 3}}

    @property
    def mechanisms(self) -> tuple[EF21Mechanism, EF21Mechanism]:
        return (
            EF21Mechanism(compressor=self.compressor),
            EF21Mechanism(compressor=self.server_compressor),
        )


@register("bidirectional_3pc")
@dataclass(frozen=True, kw_only=True)
class Bidirectional3PC(Bidirectional):
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
            "uplink": {"name": "adacgd", **AdaCGD.example()},
            "downlink": {"name": "lag", "zeta": 1.0},
        }

    @property
    def mechanisms(self) -> tuple[ThreePointCompressor, ThreePointCompressor]:
        return self.uplink, self.downlink
