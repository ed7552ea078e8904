"""A problem whose gradients cost nothing, so that a round consists of the suite's own work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from wiregrad.comm import accounting
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry as methods
from wiregrad.methods.base import Step
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.problems.deep import workers_per_pass
from wiregrad.runtimes.simulated import Simulated

STEP = Step(1, 10**9, 1e-3)


class Still(Problem):
    """n workers with constant gradients, drawn once from a normal distribution."""

    dtype = torch.float32
    device = torch.device("cpu")
    train_size = samples_per_step = steps_per_epoch = 1

    def __init__(self, d: int, workers: int) -> None:
        self.provenance = {}
        self.layout, self.workers = Layout.flat(d), workers
        self._drawn = False

    def x0(self) -> torch.Tensor:
        return torch.zeros(self.layout.numel)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        del x, step, workers
        if not self._drawn:
            out.normal_(generator=torch.Generator().manual_seed(1))
            self._drawn = True

    def worker_groups(self) -> list[range]:
        """Four workers at a time, as in the deep problems."""
        some = workers_per_pass(self.workers, of_16=4)
        return [range(i, min(i + some, self.workers)) for i in range(0, self.workers, some)]

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        del x
        return Evaluation(loss_train=0.0)


def simulated(d: int, workers: int, **method: Any) -> Simulated:
    """The simulated runtime of `method` on constant gradients, after one round."""
    built = methods.build({"lr": 1e-3} | method)
    runtime = Simulated(Still(d, workers), built, Seeds(0), accounting.convention("formula"))
    runtime.round(STEP, measure=False)
    return runtime
