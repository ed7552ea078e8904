"""Plugin of the tests: least squares on generated data, and a method whose workers skip rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad import methods, problems
from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.compressors import Compressor
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Replica, State, Step
from wiregrad.problems import Evaluation, Problem, ProblemSpec


class LeastSquares(Problem):
    """f_i(x) = ‖A_i x − b_i‖² / 2m, mean over i."""

    layout = Layout(("a.weight", "a.bias", "b.weight"), ((4, 5), (4,), (4, 4)))
    steps_per_epoch = 10

    def __init__(self, spec: LeastSquaresSpec, workers: int, seeds: Seeds) -> None:
        self.spec, self.workers = spec, workers
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.provenance = {"name": "generated"}
        self.train_size = 16 * workers
        self.samples_per_step = self.train_size
        draw = seeds.generator("data")
        self.A = torch.randn(workers, 16, self.dim, generator=draw)
        self.b = torch.randn(workers, 16, generator=draw)

    def x0(self) -> torch.Tensor:
        return torch.zeros(self.dim)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        for row, i in zip(out, workers, strict=True):
            row.copy_(self.A[i].T @ (self.A[i] @ x - self.b[i]) / 16)
            if (i, step) == (self.spec.poisoned_worker, self.spec.poisoned_step):
                row[3] = torch.inf

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        return Evaluation(loss_train=((self.A @ x - self.b) ** 2).double().mean().item() / 2)


@problems.register("generated_least_squares")
@dataclass(frozen=True, kw_only=True)
class LeastSquaresSpec(ProblemSpec):
    poisoned_worker: int = -1
    poisoned_step: int = -1
    """The one gradient that is not finite."""

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Problem:
        return LeastSquares(self, workers, seeds)


@dataclass
class Estimates:
    g: torch.Tensor


@dataclass
class Server:
    x: torch.Tensor
    g: torch.Tensor


@methods.register("skipping_gradient")
@dataclass(frozen=True, kw_only=True)
class SkippingGradient(Method):
    """Workers send C(∇f_i − g_i) where it is larger than a threshold, and nothing otherwise."""

    source = "a test"
    compressor: Compressor
    threshold: float

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Tests of all known methods meet it where they share a process."""
        return {"threshold": 0.1}

    def init(self, x0: torch.Tensor, n: int) -> State:
        g = x0.new_zeros(n, x0.numel())
        return State(Estimates(g), Server(x0.clone(), g.clone()), Replica(x0.clone()))

    def work(
        self, workers: Any, replica: Any, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        difference = grads - workers.g
        news = difference.square().sum(1) > self.threshold
        workers.g += up(self.compressor, difference, where=news)

    def serve(self, server: Any, received: Received, down: Channel, step: Step) -> None:
        server.g += received.rows()
        server.x.sub_(server.g.mean(0), alpha=step.lr)
        down.dense(server.x)
