"""Efficient-Adam (arXiv 2205.14473), recalled."""

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate


def efficient_adam(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    server_compressor: dict,
    blocks: str = "per_tensor",
    schedule: dict | None = None,
    beta: float = 0.9,
    theta: float = 0.999,
    theta_schedule: str = "constant",
    lr_schedule: str = "constant",
    v0: float = 1e-8,
    worker_feedback: bool = True,
    server_feedback: bool = True,
) -> np.ndarray:
    q_w = compressors.build(compressor, blocks, problem.tensors)
    q_s = compressors.build(server_compressor, blocks, problem.tensors)
    n, d = problem.n, problem.d
    m, v = [np.zeros(d) for _ in range(n)], [np.full(d, v0) for _ in range(n)]
    e, big_e, x = [np.zeros(d) for _ in range(n)], np.zeros(d), np.zeros(d)
    iterates = [x]
    for t in range(1, steps + 1):
        theta_t = {"constant": theta, "horizon": 1 - theta / steps, "round": 1 - theta / t}
        alpha = learning_rate(lr, schedule, t)
        alpha_t = {
            "constant": alpha,
            "horizon": alpha / np.sqrt(steps),
            "round": alpha / np.sqrt(t),
        }
        p = np.zeros(d)
        for i in range(n):
            g, th = problem.gradient(i, x), theta_t[theta_schedule]
            v[i] = th * v[i] + (1 - th) * g**2
            m[i] = beta * m[i] + (1 - beta) * g
            u = alpha_t[lr_schedule] * m[i] / np.sqrt(v[i])
            delta = q_w(u + e[i])
            if worker_feedback:
                e[i] = u + e[i] - delta
            p += delta / n
        update = q_s(p + big_e)
        if server_feedback:
            big_e = p + big_e - update
        x = x - update
        iterates.append(x)
    return np.array(iterates)
