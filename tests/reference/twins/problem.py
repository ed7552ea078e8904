"""Nonconvex logistic regression in NumPy: f_i(x) = mean log(1 + exp(-y aᵀx)) + lam Σ x²/(1+x²)."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Logistic:
    """Rows `a` `[N, d]` and labels ±1, cut into n contiguous parts, the remainder to the last."""

    a: np.ndarray
    y: np.ndarray
    n: int
    lam: float
    tensors: list[tuple[str, int]]
    """Names and lengths of the tensors that x consists of."""

    @property
    def d(self) -> int:
        return self.a.shape[1]

    def gradients(self, x: np.ndarray) -> list[np.ndarray]:
        return [self.gradient(i, x) for i in range(self.n)]

    def rows(self, i: int) -> slice:
        size = len(self.y) // self.n
        return slice(i * size, (i + 1) * size if i < self.n - 1 else len(self.y))

    def gradient(self, i: int, x: np.ndarray) -> np.ndarray:
        """∇f_i(x)."""
        a, y = self.a[self.rows(i)], self.y[self.rows(i)]
        weights = -y / (1 + np.exp(y * (a @ x)))
        return a.T @ weights / len(y) + self.lam * 2 * x / (1 + x**2) ** 2


def random_problem(seed: int, n: int) -> Logistic:
    """A problem of 53 samples with 13 features in three tensors of two layers."""
    rng = np.random.default_rng(seed)
    tensors = [("first.weight", 6), ("first.bias", 2), ("second.weight", 5)]
    a = rng.normal(size=(53, 13)) * rng.uniform(0.2, 3, size=13)
    y = np.where(a @ rng.normal(size=13) + rng.normal(size=53) > 0, 1.0, -1.0)
    return Logistic(a, y, n, lam=0.1, tensors=tensors)


def learning_rate(lr: float, schedule: dict | None, t: int) -> float:
    """The rate of round t = 1, 2, ...; a round of full gradients is an epoch."""
    if schedule is None:
        return lr
    passed = [m for m in schedule["milestones"] if t - 1 >= m]
    return lr * schedule.get("factor", 0.1) ** len(passed)
