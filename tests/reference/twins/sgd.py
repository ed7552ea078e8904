"""SGD, plain, compressed without and with error feedback."""

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate


def naive_sgd(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
    momentum: float = 0.0,
) -> np.ndarray:
    compress = compressors.build(compressor, blocks, problem.tensors)
    x, buffer = np.zeros(problem.d), None
    iterates = [x]
    for t in range(1, steps + 1):
        g = sum(compress(problem.gradient(i, x)) for i in range(problem.n)) / problem.n
        buffer = g if buffer is None else momentum * buffer + g
        x = x - learning_rate(lr, schedule, t) * buffer
        iterates.append(x)
    return np.array(iterates)


def dist_sgd(problem: Logistic, steps: int, **parameters: object) -> np.ndarray:
    parameters.pop("blocks", None)  # nothing is compressed
    return naive_sgd(problem, steps, compressor={"name": "identity"}, **parameters)


def ef_sgd(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """arXiv 1901.09847, Algorithm 2: p = lr g + e; x <- x - C(p); e <- p - C(p); n workers."""
    compress = compressors.build(compressor, blocks, problem.tensors)
    x = np.zeros(problem.d)
    error = [np.zeros(problem.d) for _ in range(problem.n)]
    iterates = [x]
    for t in range(1, steps + 1):
        total = np.zeros(problem.d)
        for i in range(problem.n):
            p = learning_rate(lr, schedule, t) * problem.gradient(i, x) + error[i]
            delta = compress(p)
            error[i] = p - delta
            total += delta
        x = x - total / problem.n
        iterates.append(x)
    return np.array(iterates)
