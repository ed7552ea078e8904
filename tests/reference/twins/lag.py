"""LAG as first published (arXiv 1805.09965): the sum of the f_i with step α, as in the paper."""

from itertools import pairwise

import numpy as np

from twins.problem import Logistic, learning_rate
from twins.three_pc import norm2


def lag(
    problem: Logistic,
    steps: int,
    lr: float,
    xi: float,
    memory: int = 10,
    schedule: dict | None = None,
    smoothness: tuple[float, ...] | None = None,
    **_: object,  # nothing is compressed
) -> np.ndarray:
    """WK, or with the L_m PS: θ <- θ - α Σ δ_m; a worker m stays with its old gradient where

    WK  ‖δ∇_m‖² <= 1/(α²M²) Σ_d ξ ‖θ^{k+1-d} - θ^{k-d}‖²
    PS  L_m² ‖θ̂_m - θ^k‖² <= the same
    """
    M = problem.n
    L = None if smoothness is None else np.broadcast_to(np.array(smoothness), M)
    theta = np.zeros(problem.d)
    thetas = [theta]
    held = problem.gradients(theta)
    at = [theta] * M
    for t in range(1, steps + 1):
        theta = theta - learning_rate(lr, schedule, t) / M * sum(held)
        thetas.append(theta)
        alpha = learning_rate(lr, schedule, t + 1) / M
        last = [norm2(b - a) for a, b in pairwise(thetas)][-memory:]
        allowed = xi * sum(last) / (alpha**2 * M**2)
        for m, new in enumerate(problem.gradients(theta)):
            error = norm2(new - held[m]) if L is None else L[m] ** 2 * norm2(at[m] - theta)
            if error > allowed:
                held[m], at[m] = new, theta
    return np.array(thetas)


def lag_wk(problem: Logistic, steps: int, xi: float = 0.1, **more: object) -> np.ndarray:
    return lag(problem, steps, xi=xi, **more)


def lag_ps(problem: Logistic, steps: int, xi: float = 1.0, **more: object) -> np.ndarray:
    return lag(problem, steps, xi=xi, **more)
