"""Drives a method through the simulated runtime on the problem of a NumPy twin."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from twins.draws import Stream
from twins.problem import Logistic

from wiregrad.comm.accounting import convention
from wiregrad.compressors.rand_k import RandK
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry
from wiregrad.methods.base import Step
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.runtimes.simulated import Simulated


def subset(generator: torch.Generator, k: int, d: int) -> list[int]:
    """The elements that Rand-K keeps."""
    ones = torch.ones(1, d, dtype=torch.float64)
    return RandK(k=k).roundtrip(ones, generators=[generator]).decoded.nonzero()[:, 1].tolist()


Stream.subset = staticmethod(subset)


class TwinProblem(Problem):
    """The twin's problem for the package: gradients in closed form."""

    def __init__(self, twin: Logistic) -> None:
        names, lengths = zip(*twin.tensors, strict=True)
        self.layout = Layout(tuple(names), tuple((length,) for length in lengths))
        self.workers, self.twin = twin.n, twin
        self.signed = torch.from_numpy(twin.a * twin.y[:, None])
        self.device, self.dtype = torch.device("cpu"), torch.float64
        self.train_size = self.samples_per_step = len(twin.y)
        self.steps_per_epoch = 1
        self.provenance = {}

    def x0(self) -> torch.Tensor:
        return torch.zeros(self.dim, dtype=self.dtype)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        for row, i in zip(out, workers, strict=True):
            signed = self.signed[self.twin.rows(i)]
            torch.mv(signed.T, torch.sigmoid(-signed @ x), out=row)
            row.div_(-len(signed)).add_(x / (1 + x * x).square(), alpha=2 * self.twin.lam)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        return Evaluation(loss_train=float(torch.nn.functional.softplus(-self.signed @ x).mean()))


@pytest.fixture
def twin_problem() -> type[Problem]:
    """The class of a twin's problem for the package."""
    return TwinProblem


@pytest.fixture
def drive() -> Callable[[dict, Logistic, int], np.ndarray]:
    """The iterates x_0..x_T of a method (a mapping as in a run configuration)."""

    def run(spec: dict, twin: Logistic, steps: int) -> np.ndarray:
        method = registry.build(spec)
        runtime = Simulated(TwinProblem(twin), method, Seeds(0), convention("formula"))
        iterates = [runtime.x.numpy().copy()]
        for t in range(1, steps + 1):
            epoch = float(t - 1)
            runtime.round(Step(t, steps, method.lr_at(epoch), epoch), measure=False)
            iterates.append(runtime.x.numpy().copy())
        return np.array(iterates)

    return run
