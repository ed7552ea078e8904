"""Efficient-Adam (Chen, Shen, Liu, Luo, IEEE TSP 2023, arXiv 2205.14473)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import BlockKind
from wiregrad.methods.amsgrad import update_moments
from wiregrad.methods.base import Fraction, Method, PositiveFloat, Step, register
from wiregrad.methods.rows import for_rows, rows_like
from wiregrad.methods.state import LocalMoments, Replica, ServerResidual, State

Decay = Literal["constant", "horizon", "round"]
"""Constant; by the number T of all rounds; by the round t = 1, 2, ..."""


@register("efficient_adam")
@dataclass(frozen=True, kw_only=True)
class EfficientAdam(Method):
    """Efficient-Adam: Adam's updates at the workers, quantised both ways with error feedback.

    m_i = e_i = E = 0, v_i = v0;  then
    worker  v_i <- theta_t v_i + (1-theta_t) g_i^2;  m_i <- beta m_i + (1-beta) g_i
            u_i = lr_t m_i / sqrt(v_i)
            d_i = Q_w(u_i + e_i);  e_i <- e_i + u_i - d_i;  send d_i
    server  p = mean d_i;  D = Q_s(p + E);  E <- E + p - D;  broadcast D
    all     x <- x - D

    Q_w is `compressor`, Q_s is `server_compressor`; the paper's α_t is lr_t, its θ_t theta_t.
    `identity` switches a quantiser off; a link without feedback loses what its quantiser drops.
    With `identity` both ways it is not Adam on the mean gradient: every worker has a second moment
    of its own.
    """

    source = "arXiv 2205.14473 (Efficient-Adam), recalled: only the abstract was at hand"
    partial = "arrived"
    sweepable = True

    compressor: Compressor
    """Q_w, of the workers."""
    server_compressor: Compressor
    """Q_s, of the server."""
    blocks: BlockKind = "per_tensor"
    beta: Fraction = 0.9
    """Decay of the first moment, in [0, 1)."""
    theta: PositiveFloat = 0.999
    """Of the second moment's decay: > 0, and as large as `theta_schedule` allows."""
    theta_schedule: Decay = "constant"
    """theta_t = theta; 1 - theta/T (`horizon`); 1 - theta/t (`round`)."""
    lr_schedule: Decay = "constant"
    """lr_t = lr; lr/sqrt(T) (`horizon`); lr/sqrt(t) (`round`); on top of `schedule`."""
    v0: PositiveFloat = 1e-8
    """Of v_i before round 1; chosen here: all that is known of it is that it is positive."""
    worker_feedback: bool = True
    """Whether the workers keep e_i; else it is 0."""
    server_feedback: bool = True
    """Whether the server keeps E; else it is 0."""

    def __post_init__(self) -> None:
        if self.theta_schedule == "constant" and not self.theta < 1:
            raise ConfigError(f"method.theta: {self.theta}, allowed: below 1 where it is constant")
        if self.theta_schedule == "round" and not self.theta <= 1:
            raise ConfigError(f"method.theta: {self.theta}, allowed: up to 1 (1 - theta/t)")

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"server_compressor": {"name": "log_quantiser", "bits": 3}}

    def init(self, x0: torch.Tensor, n: int) -> State:
        m = rows_like(x0, n)
        error = rows_like(x0, n, None if self.worker_feedback else 0)
        workers = LocalMoments(m, torch.full_like(m, self.v0), error)
        return State(workers, ServerResidual(torch.zeros_like(x0)), Replica(x0.clone()))

    def theta_at(self, step: Step) -> float:
        """theta_t; raises ConfigError where it would be negative."""
        if self.theta_schedule == "constant":
            return self.theta
        theta = 1 - self.theta / (step.total if self.theta_schedule == "horizon" else step.t)
        if theta < 0:
            raise ConfigError(
                f"method.theta: {self.theta}, allowed: up to {step.total}, the rounds of the run"
            )
        return theta

    def lr_in(self, step: Step) -> float:
        """lr_t."""
        over = {"constant": 1, "horizon": step.total, "round": step.t}
        return step.lr / math.sqrt(over[self.lr_schedule])

    def work(
        self, workers: LocalMoments, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        update_moments(workers.m, workers.v, grads, self.beta, self.theta_at(step))
        # Without gradients v underflows in the end, long after m: 0/0 then has to be 0.
        u = workers.v.sqrt().clamp_(min=torch.finfo(workers.v.dtype).tiny)
        torch.div(workers.m, u, out=u).mul_(for_rows(self.lr_in(step)))
        if self.worker_feedback:
            up.error_feedback(self.compressor, u, workers.error)
        else:
            up(self.compressor, u)

    def serve(self, server: ServerResidual, received: Received, down: Channel, step: Step) -> None:
        p = received.mean()
        if self.server_feedback:
            down.error_feedback(self.server_compressor, p, server.error)
        else:
            down(self.server_compressor, p)

    def move(self, replica: Replica, broadcast: torch.Tensor, step: Step) -> None:
        replica.x -= broadcast
