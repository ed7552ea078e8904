"""1-bit Adam as run by arXiv 2205.05632, and as published (arXiv 2102.02888)."""

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate


def one_bit_adam(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict | None = None,
    blocks: str = "per_tensor",
    schedule: dict | None = None,
    warmup: float = 0.05,
    warmup_rounds: int | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_inside: bool = True,
    two_way: bool = False,
    gradients_sent: bool = False,
) -> np.ndarray:
    compress = compressors.build(compressor or {"name": "scaled_sign"}, blocks, problem.tensors)
    n, d = problem.n, problem.d
    x, m, v = np.zeros(d), np.zeros(d), np.zeros(d)
    worker_error, server_error = [np.zeros(d) for _ in range(n)], np.zeros(d)
    warm = max(1, round(warmup * steps)) if warmup_rounds is None else warmup_rounds
    iterates = [x]
    for t in range(1, steps + 1):
        gradients = [problem.gradient(i, x) for i in range(n)]
        if t <= warm:
            g = sum(gradients) / n
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
        else:
            received = np.zeros(d)
            for i in range(n):
                said = gradients[i] if gradients_sent else beta1 * m + (1 - beta1) * gradients[i]
                corrected = said + worker_error[i]
                c = compress(corrected)
                worker_error[i] = corrected - c
                received += c / n
            if two_way:
                heard = compress(received + server_error)
                server_error = received + server_error - heard
            else:
                heard = received
            m = beta1 * m + (1 - beta1) * heard if gradients_sent else heard
        root = np.sqrt(v + eps) if eps_inside else np.sqrt(v) + eps
        x = x - learning_rate(lr, schedule, t) * m / root
        iterates.append(x)
    return np.array(iterates)


def one_bit_adam_published(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict | None = None,
    blocks: str = "whole",
    eps_inside: bool = False,
    **parameters: object,
) -> np.ndarray:
    compressor = compressor or {"name": "scaled_sign", "norm": "l2"}
    return one_bit_adam(
        problem,
        steps,
        lr,
        compressor,
        blocks,
        eps_inside=eps_inside,
        two_way=True,
        **parameters,
    )


def one_bit_adam_gradients(
    problem: Logistic, steps: int, lr: float, compressor: dict | None = None, **parameters: object
) -> np.ndarray:
    """As CD-Adam's code (arXiv 2111.00705) runs it: gradients are compressed, not momenta."""
    compressor = compressor or {"name": "scaled_sign"}
    return one_bit_adam_published(problem, steps, lr, compressor, gradients_sent=True, **parameters)
