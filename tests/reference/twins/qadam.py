"""QAdam as run by arXiv 2205.05632, and as published (arXiv 2004.14180, recalled)."""

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate

SIGN = {"name": "scaled_sign"}


def qadam(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict = SIGN,
    blocks: str = "per_tensor",
    schedule: dict | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_inside: bool = True,
    shared_state: bool = False,
) -> np.ndarray:
    quantise = compressors.build(compressor, blocks, problem.tensors)
    m, v, error = ([np.zeros(problem.d) for _ in range(problem.n)] for _ in range(3))
    if shared_state:  # aliases, as in the scripts
        m, v, error = [m[0]] * problem.n, [v[0]] * problem.n, [error[0]] * problem.n
    x = np.zeros(problem.d)
    iterates = [x]
    for t in range(1, steps + 1):
        total = np.zeros(problem.d)
        for i in range(problem.n):
            g = problem.gradient(i, x)
            m[i][:] = beta1 * m[i] + (1 - beta1) * g
            v[i][:] = beta2 * v[i] + (1 - beta2) * g**2
            a = m[i] / (np.sqrt(v[i] + eps) if eps_inside else np.sqrt(v[i]) + eps)
            quantised = quantise(a + error[i])
            error[i] += a - quantised
            total += quantised
        x = x - learning_rate(lr, schedule, t) * total / problem.n
        iterates.append(x)
    return np.array(iterates)


def qadam_published(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict = SIGN,
    weights: dict | None = None,
    blocks: str = "per_tensor",
    schedule: dict | None = None,
    beta: float = 0.9,
    theta: float = 0.999,
    eps: float = 1e-8,
) -> np.ndarray:
    """The iterates are the quantised weights, at which the workers take their gradients."""
    quantise = compressors.build(compressor, blocks, problem.tensors)
    quantise_x = compressors.build(weights or {"name": "identity"}, blocks, problem.tensors)
    m, v, error = ([np.zeros(problem.d) for _ in range(problem.n)] for _ in range(3))
    x = seen = np.zeros(problem.d)
    iterates = [seen]
    for t in range(1, steps + 1):
        theta_t = 1 - theta / t
        alpha_t = learning_rate(lr, schedule, t) / np.sqrt(t)
        total = np.zeros(problem.d)
        for i in range(problem.n):
            g = problem.gradient(i, seen)
            v[i] = theta_t * v[i] + (1 - theta_t) * g**2
            m[i] = beta * m[i] + (1 - beta) * g
            a = alpha_t * m[i] / np.sqrt(v[i] + eps)
            delta = quantise(a + error[i])
            error[i] = a + error[i] - delta
            total += delta
        x = x - total / problem.n
        seen = quantise_x(x)
        iterates.append(seen)
    return np.array(iterates)
