"""The gradients of 50 runs of logistic regression in one pass, against one run after the other.

Either way a call computes the exact gradients of all 20 workers of a run; in the second there are
50 calls. Also shown: the workers' rows as a dense batch of matrices in torch, run after run.
"""

from __future__ import annotations

import time

import pytest
import torch

from ratios import Goal, Row, Turns, milliseconds
from wiregrad.errors import DataUnavailable
from wiregrad.problems import registry
from wiregrad.rng import Seeds

pytestmark = pytest.mark.benchmark(timer=time.process_time)
RUNS, WORKERS = 50, 20
ONE_BY_ONE, DENSE = "one by one", "dense torch"


class Dense:
    """The textbook's gradient for all workers of one run: two batched matrix products."""

    def __init__(self, problem: object, lam: float) -> None:
        parts = [problem.part(i).dense() for i in range(WORKERS)]  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("name", ["phishing", "a9a", "w8a"])
def test_sweep(name: str, turns: Turns, table: list[Row]) -> None:
    spec = registry.build({"name": "logistic", "data": name})
    try:
        problem = spec.build(WORKERS, Seeds(0), torch.device("cpu"))
    except DataUnavailable as error:
        pytest.skip(str(error))
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
    what = f"50 logistic runs, {name}"
    for group, peer, goal in (("Sweeps", ONE_BY_ONE, Goal(10, 19)), ("Peers", DENSE, None)):
        detail = milliseconds({"ours": took["ours"], peer: took[peer]})
        table.append(Row(group, what, peer, took[peer] / took["ours"], "×", detail, goal))
