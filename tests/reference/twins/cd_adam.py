"""CD-Adam (arXiv 2111.00705), its comparators on both links, and distributed Adam."""

from collections.abc import Callable

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate


class Adam:
    """Adam or AMSGrad, one coordinate after the other."""

    def __init__(
        self,
        d: int,
        beta1: float = 0.9,
        beta2: float = 0.99,
        eps: float = 1e-8,
        eps_inside: bool = True,
        bias_correction: bool = False,
        weight_decay: float = 0.0,
        amsgrad: bool = True,
    ) -> None:
        self.m, self.v, self.v_hat = np.zeros(d), np.zeros(d), np.zeros(d)
        self.beta1, self.beta2, self.eps, self.inside = beta1, beta2, eps, eps_inside
        self.corrected, self.decay, self.amsgrad = bias_correction, weight_decay, amsgrad

    def step(self, x: np.ndarray, g: np.ndarray, lr: float, t: int) -> np.ndarray:
        new = x.copy()
        for j in range(len(x)):
            u = g[j] + self.decay * x[j]
            self.m[j] = self.beta1 * self.m[j] + (1 - self.beta1) * u
            self.v[j] = self.beta2 * self.v[j] + (1 - self.beta2) * u**2
            self.v_hat[j] = max(self.v_hat[j], self.v[j]) if self.amsgrad else self.v[j]
            m, v = self.m[j], self.v_hat[j]
            if self.corrected:
                m, v = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
            new[j] -= lr * m / (np.sqrt(v + self.eps) if self.inside else np.sqrt(v) + self.eps)
        return new


class SGD:
    """x <- x - lr (g + weight_decay x)."""

    def __init__(self, d: int, weight_decay: float = 0.0) -> None:
        self.decay = weight_decay

    def step(self, x: np.ndarray, g: np.ndarray, lr: float, t: int) -> np.ndarray:
        return x - lr * (g + self.decay * x)


Compress = Callable[[np.ndarray], np.ndarray]


def naive(c: Compress, gradients: list[np.ndarray], state: dict) -> np.ndarray:
    return c(sum(c(g) for g in gradients) / len(gradients))


def feedback(c: Compress, gradients: list[np.ndarray], state: dict) -> np.ndarray:
    n, d = len(gradients), len(gradients[0])
    e = state.setdefault("workers", [np.zeros(d) for _ in range(n)])
    sent = []
    for i, g in enumerate(gradients):
        sent.append(c(g + e[i]))
        e[i] = g + e[i] - sent[i]
    p = sum(sent) / n + state.setdefault("server", np.zeros(d))
    state["server"] = p - c(p)
    return c(p)


def markov(c: Compress, gradients: list[np.ndarray], state: dict) -> np.ndarray:
    """The estimate g~ that the workers hold after the round."""
    n, d = len(gradients), len(gradients[0])
    g_i = state.setdefault("g_i", [np.zeros(d) for _ in range(n)])
    for i, g in enumerate(gradients):
        g_i[i] = g_i[i] + c(g - g_i[i])
    g_hat = sum(g_i) / n
    g_tilde = state.get("g_tilde", np.zeros(d))
    state["g_tilde"] = g_tilde + c(g_hat - g_tilde)
    return state["g_tilde"]


def both_ways(
    links: Callable[[Compress, list[np.ndarray], dict], np.ndarray],
    rule: type[Adam] | type[SGD],
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "whole",
    schedule: dict | None = None,
    **parameters: float,
) -> np.ndarray:
    compress = compressors.build(compressor, blocks, problem.tensors)
    optimiser, state = rule(problem.d, **parameters), {}
    x = np.zeros(problem.d)
    iterates = [x]
    for t in range(1, steps + 1):
        direction = links(compress, problem.gradients(x), state)
        x = optimiser.step(x, direction, learning_rate(lr, schedule, t), t)
        iterates.append(x)
    return np.array(iterates)


def dist_adam(
    problem: Logistic,
    steps: int,
    beta2: float = 0.999,
    eps_inside: bool = False,
    bias_correction: bool = True,
    **parameters: object,
) -> np.ndarray:
    parameters.pop("blocks", None)  # nothing is compressed
    return both_ways(
        naive,
        Adam,
        problem,
        steps,
        compressor={"name": "identity"},
        amsgrad=False,
        beta2=beta2,
        eps_inside=eps_inside,
        bias_correction=bias_correction,
        **parameters,
    )
