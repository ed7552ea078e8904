"""Compressed gradients of arXiv 1806.06573, whose objective is the sum of the f_i."""

import numpy as np

from twins import compressors
from twins.draws import Stream
from twins.problem import Logistic, learning_rate


def q_gd(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """x <- x - γ Q(∇f(x))."""
    Q, stream = compressors.build(compressor, blocks, problem.tensors), Stream("downlink", 0)
    x = np.zeros(problem.d)
    iterates = [x]
    for k in range(steps):
        x = x - learning_rate(lr, schedule, k + 1) * Q(sum(problem.gradients(x)), stream)
        iterates.append(x)
    return np.array(iterates)


def distributed_q_gd(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
    parts: int = 1,
) -> np.ndarray:
    """x <- x - γ Σ Q(U_b ∇f_i(x)), the blocks b in turn."""
    Q = compressors.build(compressor, blocks, problem.tensors)
    streams = [Stream("uplink", i) for i in range(problem.n)]
    ends = [problem.d * b // parts for b in range(parts + 1)]
    x = np.zeros(problem.d)
    iterates = [x]
    for k in range(steps):
        b = k % parts
        U = np.zeros(problem.d)
        U[ends[b] : ends[b + 1]] = 1
        total = np.zeros(problem.d)
        for i in range(problem.n):
            total += Q(U * problem.gradient(i, x), streams[i])
        x = x - learning_rate(lr, schedule, k + 1) * total
        iterates.append(x)
    return np.array(iterates)


def async_ef_sgd(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """Everyone arrives in each round: x <- x - Σ C(γ g_i + e_i)."""
    compress = compressors.build(compressor, blocks, problem.tensors)
    x, error = np.zeros(problem.d), [np.zeros(problem.d) for _ in range(problem.n)]
    iterates = [x]
    for k in range(steps):
        gamma, at = learning_rate(lr, schedule, k + 1), x
        for i in range(problem.n):
            p = gamma * problem.gradient(i, at) + error[i]
            c = compress(p)
            error[i] = p - c
            x = x - c
        iterates.append(x)
    return np.array(iterates)
