"""50 runs of logistic regression that advance together, against the same runs one by one.

A run is EF21 with Top-k on 20 workers; one round of all 50 runs is timed. When runs advance one by
one, a round still computes its 20 workers in one pass. Also timed: the exact gradients alone, both
ways, and the same gradients from a dense batch of matrices in torch.
"""

from __future__ import annotations

import time

import pytest
import torch

from ratios import Goal, Row, Turns, milliseconds
from wiregrad.comm import accounting
from wiregrad.core.errors import DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step
from wiregrad.methods import registry as methods
from wiregrad.problems import registry as problems
from wiregrad.problems.base import ProblemSpec
from wiregrad.problems.convex import Convex
from wiregrad.runtimes.batched import Batched
from wiregrad.runtimes.simulated import Simulated

pytestmark = pytest.mark.benchmark(timer=time.process_time)
RUNS, WORKERS = 50, 20
SETS = ("phishing", "a9a", "w8a")
ONE_BY_ONE, DENSE = "one by one", "dense torch"


class Dense:
    """The textbook gradient of all workers of one run: two batched matrix products."""

    def __init__(self, problem: object, lam: float) -> None:
        parts = [problem.worker_matrix(i).dense() for i in range(WORKERS)]  # type: ignore[attr-defined]
        rows = max(len(part) for part in parts)
        self.rows = torch.zeros(WORKERS, rows, parts[0].shape[1], dtype=torch.float64)
        self.weights = torch.zeros(WORKERS, rows, dtype=torch.float64)
        self.lam = lam
        for i, part in enumerate(parts):
            self.rows[i, : len(part)], self.weights[i, : len(part)] = part, 1 / len(part)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        slope = -torch.sigmoid(-(self.rows @ x)) * self.weights
        regular = 2 * self.lam * x / (1 + x * x) ** 2
        return (slope[:, None] @ self.rows)[:, 0] + regular


class Sweep:
    """One round of all runs, which differ in their learning rate: together, and one by one."""

    def __init__(self, problem: Convex) -> None:
        method = {"name": "ef21", "compressor": {"name": "top_k", "k": 4}}
        rates = [0.02 + 0.001 * run for run in range(RUNS)]
        self.problem, self.t, convention = problem, 0, accounting.convention("formula")
        built = methods.build(method | {"lr": 1.0})
        self.batch = Batched(problem, built, Seeds(0), {"lr": rates}, [convention])
        self.alone = [
            Simulated(problem, methods.build(method | {"lr": rate}), Seeds(0), convention)
            for rate in rates
        ]
        self.gradients = torch.empty(RUNS, WORKERS, problem.dim, dtype=torch.float64)
        self.together()
        self.one_by_one()

    def together(self) -> None:
        self.t += 1
        self.problem.gradients_batch(self.batch.x, self.gradients)
        self.batch.round(self.t, 1000, self.gradients)

    def one_by_one(self) -> None:
        self.t += 1
        for run in self.alone:
            run.round(Step(self.t, 1000, run.method.lr), measure=False)


def logistic(name: str) -> tuple[ProblemSpec, Convex]:
    """The problem on the data set `name`; skips the test if the data are not available."""
    spec = problems.build({"name": "logistic", "data": name})
    try:
        problem = spec.build(WORKERS, Seeds(0), torch.device("cpu"))
    except DataUnavailable as error:
        pytest.skip(str(error))
    assert isinstance(problem, Convex)
    return spec, problem


@pytest.mark.parametrize("name", SETS)
def test_sweep(name: str, turns: Turns, table: list[Row]) -> None:
    _, problem = logistic(name)
    sweep = Sweep(problem)
    took = turns(sweep.together, {ONE_BY_ONE: sweep.one_by_one}, rounds=5)
    ratio, what = took[ONE_BY_ONE] / took["ours"], f"50 logistic runs, {name}"
    table.append(Row("Sweeps", what, ONE_BY_ONE, ratio, "×", milliseconds(took), Goal(10, 19)))


@pytest.mark.parametrize("name", SETS)
def test_gradients(name: str, turns: Turns, table: list[Row]) -> None:
    spec, problem = logistic(name)
    x = 0.1 * torch.randn(RUNS, problem.dim, dtype=torch.float64)
    out = torch.empty(RUNS, WORKERS, problem.dim, dtype=torch.float64)
    dense = Dense(problem, spec.lam)
    torch.testing.assert_close(dense(x[0]), problem.gradients_batch(x)[0])
    took = turns(
        lambda: problem.gradients_batch(x, out),
        {
            ONE_BY_ONE: lambda: [problem.gradients_batch(row[None], out[:1]) for row in x],
            DENSE: lambda: [dense(row) for row in x],
        },
        rounds=5,
    )
    for group, peer in (("Sweeps", ONE_BY_ONE), ("Peers", DENSE)):
        detail = milliseconds({"ours": took["ours"], peer: took[peer]})
        what = f"50 logistic gradients, {name}"
        table.append(Row(group, what, peer, took[peer] / took["ours"], "×", detail))
