"""COMP-AMS (arXiv 2205.05632), its uncompressed form and its form without error feedback."""

import numpy as np

from twins import compressors
from twins.problem import Logistic, learning_rate


class AMSGrad:
    """The server of Algorithm 2."""

    def __init__(self, d: int, beta1: float, beta2: float, eps: float, inside: bool) -> None:
        self.x, self.m, self.v, self.v_hat = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
        self.beta1, self.beta2, self.eps, self.inside = beta1, beta2, eps, inside

    def update(self, g: np.ndarray, lr: float) -> None:
        for j in range(len(g)):
            self.m[j] = self.beta1 * self.m[j] + (1 - self.beta1) * g[j]
            self.v[j] = self.beta2 * self.v[j] + (1 - self.beta2) * g[j] ** 2
            self.v_hat[j] = max(self.v_hat[j], self.v[j])
            if self.inside:
                self.x[j] -= lr * self.m[j] / np.sqrt(self.v_hat[j] + self.eps)
            else:
                self.x[j] -= lr * self.m[j] / (np.sqrt(self.v_hat[j]) + self.eps)


def comp_ams(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_inside: bool = True,
    shared_state: bool = False,
    feedback: bool = True,
) -> np.ndarray:
    compress = compressors.build(compressor, blocks, problem.tensors)
    server = AMSGrad(problem.d, beta1, beta2, eps, eps_inside)
    own = [np.zeros(problem.d) for _ in range(problem.n)]
    error = [own[0]] * problem.n if shared_state else own  # aliases, as in the scripts
    iterates = [server.x.copy()]
    for t in range(1, steps + 1):
        received = []
        for i in range(problem.n):
            g = problem.gradient(i, server.x)
            if feedback:
                c = compress(g + error[i])
                error[i] += g - c
            else:
                c = compress(g)
            received.append(c)
        server.update(sum(received) / problem.n, learning_rate(lr, schedule, t))
        iterates.append(server.x.copy())
    return np.array(iterates)


def naive(problem: Logistic, steps: int, **parameters: object) -> np.ndarray:
    return comp_ams(problem, steps, feedback=False, **parameters)


def dist_ams(problem: Logistic, steps: int, **parameters: object) -> np.ndarray:
    parameters.pop("blocks", None)  # nothing is compressed
    return comp_ams(problem, steps, compressor={"name": "identity"}, **parameters)
