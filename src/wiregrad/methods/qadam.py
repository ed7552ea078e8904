"""QAdam (Chen, Shen, Huang, Liu, arXiv 2004.14180): quantised local Adam with error feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.compressors.sign import ScaledSign
from wiregrad.core.layout import BlockKind
from wiregrad.methods.amsgrad import root, update_moments
from wiregrad.methods.base import Fraction, Method, PositiveFloat, Step, register
from wiregrad.methods.rows import in_turn
from wiregrad.methods.state import LocalMoments, Point, Replica, State


def _state(x0: torch.Tensor, rows: int) -> State:
    workers = LocalMoments(*(x0.new_zeros(rows, x0.numel()) for _ in range(3)))
    return State(workers, Point(x0.clone()), Replica(x0.clone()))


@register("qadam")
@dataclass(frozen=True, kw_only=True)
class QAdam(Method):
    """QAdam as COMP-AMS ran it: sign of the Adam direction per tensor, one way, constant theta.

    worker  m_i <- b1 m_i + (1-b1) g_i;  v_i <- b2 v_i + (1-b2) g_i^2;  a = m_i / sqrt(v_i + eps)
            c_i = C(a + e_i);  e_i <- e_i + a - c_i;  send c_i
    server  x <- x - lr mean c_i;  broadcast x

    C is `compressor`; b1, b2 are `beta1`, `beta2` (β and θ of QAdam's own paper).
    """

    source = "arXiv 2004.14180, in the form that arXiv 2205.05632 ran"

    compressor: Compressor = ScaledSign()
    """C."""
    blocks: BlockKind = "per_tensor"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: PositiveFloat = 1e-8
    eps_inside: bool = True
    """sqrt(v + eps), the text; else sqrt(v) + eps, the published scripts."""
    shared_state: bool = False
    """One m, v and e for all workers, who use them in turn (an aliasing of those scripts)."""

    def init(self, x0: torch.Tensor, n: int) -> State:
        return _state(x0, 1 if self.shared_state else n)

    def work(
        self, workers: LocalMoments, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        for g in in_turn(grads, self.shared_state):
            update_moments(workers.m, workers.v, g, self.beta1, self.beta2)
            a = root(workers.v, self.eps, self.eps_inside)
            torch.div(workers.m, a, out=a)
            up.error_feedback(self.compressor, a, workers.error)

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.mean(), alpha=step.lr)
        down.dense(server.x)


@register("qadam_published")
@dataclass(frozen=True, kw_only=True)
class QAdamPublished(Method):
    """QAdam as its authors published it, as we recall it: the text was not at hand.

    The step size lies inside the quantiser and falls with t (on top of `schedule`), and the
    workers see quantised weights.

    worker  theta_t = 1 - theta/t;  alpha_t = lr / sqrt(t)
            v_i <- theta_t v_i + (1-theta_t) g_i^2;  m_i <- beta m_i + (1-beta) g_i
            a = alpha_t m_i / sqrt(v_i + eps);  c_i = C(a + e_i);  e_i <- e_i + a - c_i;  send c_i
    server  x <- x - mean c_i;  broadcast Q(x)

    C is `compressor`, Q is `weights`, lr is the paper's α.
    """

    source = "arXiv 2004.14180, with a parameter server, recalled"

    compressor: Compressor = ScaledSign()
    """C, of the updates on the way up."""
    weights: Compressor = Identity()
    """Q, of the weights on the way down."""
    blocks: BlockKind = "per_tensor"
    beta: Fraction = 0.9
    theta: Fraction = 0.999
    eps: PositiveFloat = 1e-8

    def init(self, x0: torch.Tensor, n: int) -> State:
        return _state(x0, n)

    def work(
        self, workers: LocalMoments, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        theta_t = 1 - self.theta / step.t
        alpha_t = step.lr / math.sqrt(step.t)
        update_moments(workers.m, workers.v, grads, self.beta, theta_t)
        a = root(workers.v, self.eps, eps_inside=True)
        torch.div(workers.m, a, out=a)
        up.error_feedback(self.compressor, a.mul_(alpha_t), workers.error)

    def serve(self, server: Point, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.mean())
        down(self.weights, server.x)
