"""LAG (Chen, Giannakis, Sun, Yin, NeurIPS 2018, arXiv 1805.09965), as in 3PC and as published."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.core.errors import ConfigError
from wiregrad.methods.base import Method, NonNegative, PositiveFloat, Step, register
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.rows import rows_like, square
from wiregrad.methods.state import Estimates, GradientServer, State
from wiregrad.methods.three_point import constants
from wiregrad.methods.three_point.gradient_descent import ThreePC
from wiregrad.methods.three_point.mechanisms import LAGMechanism

Memory = Annotated[int, pydantic.Field(ge=1)]
Smoothness = Annotated[tuple[PositiveFloat, ...], pydantic.Field(min_length=1)]


@register("lag")
@dataclass(frozen=True, kw_only=True)
class LAG(ThreePC):
    """LAG in the form of 3PC: the trigger is a change of the worker's own gradient.

    worker  where ‖∇f_i - g_i‖² > zeta ‖∇f_i - previous ∇f_i‖²:  send ∇f_i - g_i;  g_i <- ∇f_i
            else nothing
    server  g <- g + mean of what was sent;  x <- x - lr g;  broadcast x
    """

    source = "arXiv 2202.00998 (LAG); arXiv 1805.09965"

    zeta: NonNegative
    """ζ, of the trigger: >= 0; 0 is gradient descent."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"zeta": 1.0}

    @property
    def mechanism(self) -> LAGMechanism:
        return LAGMechanism(zeta=self.zeta)


@dataclass
class LagReplica:
    """x `[..., d]`, and ‖x^k - x^{k-1}‖² of the last D steps `[..., D]`, the newest first."""

    x: torch.Tensor
    moves: torch.Tensor


@dataclass
class Points:
    """g_i, the points x_i at which they were taken `[..., n, d]`, and L_i `[..., n]`."""

    h: torch.Tensor
    at: torch.Tensor
    smoothness: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Lazy(Method):
    """Base of LAG's two rules: a worker is lazy if an error is small against the last D steps.

    The paper minimises the sum of the f_i over M workers with step α. For their mean the same step
    is lr = αM, and its 1/(α²M²) is 1/lr².
    """

    sweepable = True

    xi: NonNegative
    """ξ >= 0, the same for each of the last D steps: the larger, the lazier."""
    memory: Memory = 10
    """D, >= 1: how many of the last steps of x the rule looks at."""

    def replica(self, x0: torch.Tensor) -> LagReplica:
        """What every worker holds before round 1."""
        return LagReplica(x0.clone(), x0.new_zeros(*x0.shape[:-1], self.memory))

    @abstractmethod
    def error(self, workers: Any, replica: LagReplica, grads: torch.Tensor) -> torch.Tensor:
        """What the rule compares with the last steps `[..., n]`."""

    def uploaded(self, workers: Any, replica: LagReplica, where: torch.Tensor) -> None:
        """Note which workers `[..., n]` have sent their gradient at replica.x."""

    def work(
        self, workers: Any, replica: LagReplica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        allowed = self.xi / step.lr**2 * replica.moves.sum(-1, keepdim=True)
        error = self.error(workers, replica, grads)
        news = torch.ones_like(error, dtype=torch.bool) if step.t == 1 else error > allowed
        up.dense(grads - workers.h, where=news)
        torch.where(news[..., None], grads, workers.h, out=workers.h)
        self.uploaded(workers, replica, news)

    def serve(self, server: GradientServer, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.x -= step.lr * server.g
        down.dense(server.x)

    def move(self, replica: LagReplica, broadcast: torch.Tensor, step: Step) -> None:
        replica.moves.copy_(replica.moves.roll(1, -1))
        replica.moves[..., 0] = square(broadcast - replica.x)
        replica.x.copy_(broadcast)

    def premises(self, size: Dimensions) -> ThreePoint:
        """No theorem: the paper's runs take the step of gradient descent, 1/L."""
        return ThreePoint(constants.gd(), proven=False)


@register("lag_wk")
@dataclass(frozen=True, kw_only=True)
class LagWK(Lazy):
    """LAG-WK as first published: the worker's rule.

    worker  where ‖∇f_i - g_i‖² > (xi / lr²) sum of the last D ‖x^k - x^{k-1}‖²:
              send ∇f_i - g_i;  g_i <- ∇f_i;  else nothing
    server  g <- g + mean of what was sent;  x <- x - lr g;  broadcast x

    All send in round 1. The paper's lr is 1/L, L that of f.
    """

    source = "arXiv 1805.09965, Algorithm 1 (LAG-WK), xi = 1/D"

    xi: NonNegative = 0.1

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = GradientServer(x0.clone(), torch.zeros_like(x0))
        return State(Estimates(rows_like(x0, n)), server, self.replica(x0))

    def error(self, workers: Estimates, replica: LagReplica, grads: torch.Tensor) -> torch.Tensor:
        """‖∇f_i - g_i‖²."""
        return square(grads - workers.h)


@register("lag_ps")
@dataclass(frozen=True, kw_only=True)
class LagPS(Lazy):
    """LAG-PS as first published: the server's rule, which needs the L_i and no gradient.

    where L_i² ‖x_i - x‖² > (xi / lr²) sum of the last D ‖x^k - x^{k-1}‖²
    worker  send ∇f_i - g_i;  g_i <- ∇f_i;  x_i <- x;  else nothing
    server  g <- g + mean of what was sent;  x <- x - lr g;  broadcast x

    In the paper the server asks the workers. Here each worker works out the same answer from the
    x's that it was sent, so no question is sent or counted. All send in round 1.
    """

    source = "arXiv 1805.09965, Algorithm 2 (LAG-PS), xi = 10/D"

    xi: NonNegative = 1.0
    smoothness: Smoothness | Literal["theory"]
    """L_i of each worker, or one number for all; theory: a sweep takes those of its problem."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"smoothness": (1.0,)}

    def informed(self, smoothness: Sequence[float]) -> LagPS:
        """With the L_i of a problem if `smoothness` is theory."""
        asked = self.smoothness == "theory"
        return replace(self, smoothness=tuple(smoothness)) if asked else self

    def init(self, x0: torch.Tensor, n: int) -> State:
        if self.smoothness == "theory":
            raise ConfigError("method.smoothness: theory is for sweeps; here give the L_i")
        if len(self.smoothness) not in {1, n}:
            given = len(self.smoothness)
            raise ConfigError(f"method.smoothness: {given} numbers, allowed: 1 or {n} (workers)")
        L = x0.new_tensor(self.smoothness).expand(*x0.shape[:-1], n).clone()
        workers = Points(rows_like(x0, n), rows_like(x0, n), L)
        server = GradientServer(x0.clone(), torch.zeros_like(x0))
        return State(workers, server, self.replica(x0))

    def error(self, workers: Points, replica: LagReplica, grads: torch.Tensor) -> torch.Tensor:
        """L_i² ‖x_i - x‖²."""
        return workers.smoothness.square() * square(workers.at - replica.x[..., None, :])

    def uploaded(self, workers: Points, replica: LagReplica, where: torch.Tensor) -> None:
        torch.where(where[..., None], replica.x[..., None, :], workers.at, out=workers.at)
