"""MARINA (Gorbunov, Burlachenko, Li, Richtárik, ICML 2021, arXiv 2102.07845), also with Perm-K."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.compressors.top_k import TopK
from wiregrad.methods.base import Method, Probability, Step, register
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.rows import rows_like
from wiregrad.methods.state import GradientServer, Replica, State
from wiregrad.methods.three_point import constants


@dataclass
class Previous:
    """Previous gradients y_i `[..., n, d]`."""

    y: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class MarinaBase(Method):
    """What the forms of MARINA share: they differ in how a difference is compressed."""

    p: Probability
    """Of a round of full gradients, in (0, 1]; one coin, which server and workers all see."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"p": 0.3}

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = GradientServer(x0.clone(), torch.zeros_like(x0))
        return State(Previous(rows_like(x0, n)), server, Replica(x0.clone()))

    def full(self, step: Step) -> bool:
        """Whether all send full gradients in this round."""
        return step.t == 1 or step.coin(self.p)

    @abstractmethod
    def compressed(self, workers: Any, difference: torch.Tensor, up: Channel, step: Step) -> None:
        """Send Q_i of each row of `difference` `[..., n, d]`."""

    def work(
        self, workers: Any, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        if self.full(step):
            up.dense(grads)
        else:
            self.compressed(workers, grads - workers.y, up, step)
        workers.y.copy_(grads)

    def serve(self, server: GradientServer, received: Received, down: Channel, step: Step) -> None:
        if self.full(step):
            server.g.zero_()
        server.g += received.mean()
        server.x -= step.lr * server.g
        down.dense(server.x)


@register("marina")
@dataclass(frozen=True, kw_only=True)
class Marina(MarinaBase):
    """MARINA: full gradients now and then, compressed differences in between.

    round 1, and with probability p
    worker  send ∇f_i
    server  g <- mean ∇f_i
    else
    worker  send q_i = Q(∇f_i - previous ∇f_i)
    server  g <- g + mean q_i
    always  x <- x - lr g;  broadcast x

    Q is `compressor`, lr is the paper's γ.
    """

    source = "arXiv 2102.07845, Algorithm 1"
    sweepable = True

    compressor: Compressor
    """Q, unbiased."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return super().example() | {"compressor": {"name": "rand_k", "k": 3, "scaled": True}}

    def compressed(
        self, workers: Previous, difference: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, difference)

    def premises(self, size: Dimensions) -> ThreePoint:
        return ThreePoint(constants.marina(self.p, size.omega(self.compressor), size.n))


@dataclass
class PlacedPrevious:
    """Previous gradients y_i `[..., n, d]`; each worker's number and n, int64 `[..., n, 2]`."""

    y: torch.Tensor
    place: torch.Tensor


@register("marina_perm_k")
@dataclass(frozen=True, kw_only=True)
class MarinaPermK(MarinaBase):
    """MARINA with Perm-K: the workers share out the coordinates, in every round anew.

    As MARINA with q_i = n v_j at the coordinates j that one random permutation, the same for all,
    gives to worker i, and 0 elsewhere; v = ∇f_i - previous ∇f_i. A worker has ceil(d/n)
    coordinates, of d padded to a multiple of n. The mean of n equal vectors arrives as it is, and
    ω = n - 1.

    Indices are sent, and counted on the wire, although everyone could work them out.
    """

    source = "arXiv 2110.03300 (Perm-K), recalled; padding: derived here"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        workers, server, replica = super().init(x0, n)
        place = torch.tensor([[i, n] for i in range(n)], device=x0.device)
        place = place.expand(*x0.shape[:-1], n, 2).clone()
        return State(PlacedPrevious(workers.y, place), server, replica)

    def compressed(
        self, workers: PlacedPrevious, difference: torch.Tensor, up: Channel, step: Step
    ) -> None:
        n, d = int(workers.place.flatten()[1]), difference.shape[-1]
        share = -(-d // n)
        order = torch.randperm(share * n, generator=step.shared_generator("permutation"))[:d]
        owner = (order // share).to(difference.device)
        mine = owner == workers.place[..., :1]
        up(TopK(k=share), n * torch.where(mine, difference, 0))

    def premises(self, size: Dimensions) -> ThreePoint:
        return ThreePoint(constants.marina_perm_k(self.p))
