"""MARINA (arXiv 2102.07845), also with Perm-K, and DIANA (arXiv 1901.09269)."""

from collections.abc import Callable

import numpy as np

from twins import compressors, draws
from twins.draws import Stream
from twins.problem import Logistic, learning_rate


def run_marina(
    problem: Logistic,
    steps: int,
    lr: float,
    p: float,
    schedule: dict | None,
    quantise: Callable[[int, int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """g^{t+1} = ∇f(x^{t+1}) with probability p, else g^t + mean Q_i(∇f_i(x^{t+1}) - ∇f_i(x^t))."""
    n = problem.n
    x = np.zeros(problem.d)
    old = problem.gradients(x)
    g = sum(old) / n
    iterates = [x]
    for t in range(1, steps + 1):
        x = x - learning_rate(lr, schedule, t) * g
        iterates.append(x)
        new = problem.gradients(x)
        if draws.coin(t + 1, p):
            g = sum(new) / n
        else:
            g = g + sum(quantise(t + 1, i, new[i] - old[i]) for i in range(n)) / n
        old = new
    return np.array(iterates)


def marina(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    p: float,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    c = compressors.build(compressor, blocks, problem.tensors)
    streams = [Stream("uplink", i) for i in range(problem.n)]
    return run_marina(problem, steps, lr, p, schedule, lambda _, i, v: c(v, streams[i]))


def marina_perm_k(
    problem: Logistic,
    steps: int,
    lr: float,
    p: float,
    schedule: dict | None = None,
    **_: object,  # whatever the blocks, the coordinates are sent
) -> np.ndarray:
    def keep(t: int, i: int, v: np.ndarray) -> np.ndarray:
        n, d = problem.n, problem.d
        share = (d + n - 1) // n
        order = draws.shared_permutation(t, share * n)
        return np.array([n * v[j] if order[j] // share == i else 0.0 for j in range(d)])

    return run_marina(problem, steps, lr, p, schedule, keep)


def diana(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    shift_rate: float | None = None,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """Scaled Rand-K alone knows its ω here, d/k - 1; whole vectors."""
    c = compressors.build(compressor, blocks, problem.tensors)
    streams = [Stream("uplink", i) for i in range(problem.n)]
    a = compressor["k"] / problem.d if shift_rate is None else shift_rate
    x = np.zeros(problem.d)
    h = [np.zeros(problem.d) for _ in range(problem.n)]
    iterates = [x]
    for t in range(1, steps + 1):
        m = [c(g - h[i], streams[i]) for i, g in enumerate(problem.gradients(x))]
        g = sum(h[i] + m[i] for i in range(problem.n)) / problem.n
        h = [h[i] + a * m[i] for i in range(problem.n)]
        x = x - learning_rate(lr, schedule, t) * g
        iterates.append(x)
    return np.array(iterates)
