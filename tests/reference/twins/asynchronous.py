"""Compressed gradients of arXiv 1806.06573, whose objective is the sum of the f_i."""

from collections.abc import Sequence

import numpy as np

from twins import compressors
from twins.comp_ams import AMSGrad
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


Arrival = tuple[int, int]
"""Worker, and the updates since it read x."""


def arriving(
    name: str, problem: Logistic, arrivals: Sequence[Arrival], lr: float, compressor: dict
) -> np.ndarray:
    """The iterates of a server that applies one message after the other, each on arrival."""
    C = compressors.build(compressor, "whole", problem.tensors)
    n, d = problem.n, problem.d
    xs, kept, error = [np.zeros(d)], np.zeros((n, d)), np.zeros((n, d))
    m, v, heard = np.zeros((n, d)), np.full((n, d), 1e-8), [False] * n
    server, server_error, g_server = AMSGrad(d, 0.9, 0.999, 1e-8, inside=True), np.zeros(d), 0
    for k, (i, staleness) in enumerate(arrivals):
        x, g = xs[k], problem.gradient(i, xs[k - staleness])
        if name == "async_sgd":
            x = x - lr * C(g)
        elif name == "q_iag":
            kept[i] = C(g)
            x = x - lr * sum(kept)
        elif name == "async_ef_sgd":
            c = C(lr * g + error[i])
            error[i] = lr * g + error[i] - c
            x = x - c
        elif name == "comp_ams":
            c = C(g + error[i])
            error[i] = g + error[i] - c
            server.update(c, lr)
            x = server.x.copy()
        elif name == "ef21":
            change = C(g - kept[i]) if heard[i] else g
            kept[i], heard[i] = kept[i] + change, True
            g_server = g_server + change / n
            x = x - lr * g_server
        elif name == "efficient_adam":
            v[i] = 0.999 * v[i] + 0.001 * g**2
            m[i] = 0.9 * m[i] + 0.1 * g
            u = lr * m[i] / np.sqrt(v[i])
            c = C(u + error[i])
            error[i] = u + error[i] - c
            D = C(c + server_error)
            server_error = c + server_error - D
            x = x - D
        xs.append(x)
    return np.array(xs)
