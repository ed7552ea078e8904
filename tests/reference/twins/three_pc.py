# ruff: noqa: ARG005 - every mechanism takes all arguments
"""3PC (arXiv 2202.00998) with its mechanisms, uplink-only and in both directions.

A mechanism is written as in the paper, C_{h,y}(x) as a function of (t, h, y, x, stream).
"""

from collections.abc import Callable

import numpy as np

from twins import compressors, draws
from twins.draws import Stream
from twins.problem import Logistic, learning_rate

Mechanism = Callable[..., np.ndarray]


def norm2(x: np.ndarray) -> float:
    return float(x @ x)


def mechanism(name: str, build: Callable[[dict], Callable], **parameters: object) -> Mechanism:
    """C_{h,y}(x) of a mapping as in a run configuration."""
    return {
        "ef21": ef21,
        "lag": lag,
        "clag": clag,
        "adacgd": adacgd,
        "three_pc_v1": v1,
        "three_pc_v2": v2,
        "three_pc_v3": v3,
        "three_pc_v4": v4,
        "three_pc_v5": v5,
    }[name](build, **parameters)


def ef21(build: Callable, compressor: dict) -> Mechanism:
    c = build(compressor)
    return lambda t, h, y, x, stream: h + c(x - h, stream)


def lag(build: Callable, zeta: float) -> Mechanism:
    return lambda t, h, y, x, stream: x.copy() if norm2(x - h) > zeta * norm2(x - y) else h.copy()


def clag(build: Callable, compressor: dict, zeta: float) -> Mechanism:
    c = build(compressor)

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        if norm2(x - h) > zeta * norm2(x - y):
            return h + c(x - h, stream)
        return h.copy()

    return apply


def adacgd(build: Callable, compressors: list[dict], zeta: float) -> Mechanism:
    levels = [build(compressor) for compressor in compressors]

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        reach = zeta * norm2(x - y)
        if norm2(x - h) <= reach:
            return h.copy()
        for level in levels[:-1]:
            if norm2(x - h - level(x - h, stream)) <= reach:
                return h + level(x - h, stream)
        return h + levels[-1](x - h, stream)

    return apply


def v1(build: Callable, compressor: dict) -> Mechanism:
    c = build(compressor)
    return lambda t, h, y, x, stream: y + c(x - y, stream)


def v2(build: Callable, compressor: dict, unbiased: dict) -> Mechanism:
    c, q = build(compressor), build(unbiased)

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        b = h + q(x - y, stream)
        return b + c(x - b, stream)

    return apply


def v3(build: Callable, compressor: dict, inner: dict) -> Mechanism:
    c, first = build(compressor), mechanism(build=build, **inner)

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        b = first(t, h, y, x, stream)
        return b + c(x - b, stream)

    return apply


def v4(build: Callable, compressor: dict, second: dict) -> Mechanism:
    c1, c2 = build(compressor), build(second)

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        b = h + c2(x - h, stream)
        return b + c1(x - b, stream)

    return apply


def v5(build: Callable, compressor: dict, p: float) -> Mechanism:
    c = build(compressor)

    def apply(t: int, h: np.ndarray, y: np.ndarray, x: np.ndarray, stream: Stream) -> np.ndarray:
        return x.copy() if draws.coin(t, p) else h + c(x - y, stream)

    return apply


def three_pc(
    name: str,
    problem: Logistic,
    steps: int,
    lr: float,
    blocks: str = "auto",
    schedule: dict | None = None,
    **parameters: object,
) -> np.ndarray:
    """x^{t+1} = x^t - lr g^t; g_i^{t+1} = C_{g_i^t, ∇f_i(x^t)}(∇f_i(x^{t+1})); g^0 exact."""
    apply = mechanism(
        name, lambda spec: compressors.build(spec, blocks, problem.tensors), **parameters
    )
    streams = [Stream("uplink", i) for i in range(problem.n)]
    x = np.zeros(problem.d)
    y = problem.gradients(x)
    g = [v.copy() for v in y]
    iterates = [x]
    for t in range(1, steps + 1):
        x = x - learning_rate(lr, schedule, t) * sum(g) / problem.n
        iterates.append(x)
        new = problem.gradients(x)
        g = [apply(t + 1, g[i], y[i], new[i], streams[i]) for i in range(problem.n)]
        y = new
    return np.array(iterates)


def bidirectional(
    problem: Logistic,
    steps: int,
    lr: float,
    uplink: dict,
    downlink: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """As 3PC with w in place of g: w^{t+1} = C'_{w^t, ḡ^t}(ḡ^{t+1}), ḡ the mean of the g_i."""
    up, down = (
        mechanism(build=lambda spec: compressors.build(spec, blocks, problem.tensors), **spec)
        for spec in (uplink, downlink)
    )
    streams = [Stream("uplink", i) for i in range(problem.n)]
    server = Stream("downlink", 0)
    x = np.zeros(problem.d)
    y = problem.gradients(x)
    g = [v.copy() for v in y]
    mean = w = sum(g) / problem.n
    iterates = [x]
    for t in range(1, steps + 1):
        x = x - learning_rate(lr, schedule, t) * w
        iterates.append(x)
        new = problem.gradients(x)
        g = [up(t + 1, g[i], y[i], new[i], streams[i]) for i in range(problem.n)]
        y = new
        before, mean = mean, sum(g) / problem.n
        w = down(t + 1, w, before, mean, server)
    return np.array(iterates)


def ef21_bc(
    problem: Logistic, steps: int, compressor: dict, server_compressor: dict, **more: object
) -> np.ndarray:
    uplink = {"name": "ef21", "compressor": compressor}
    downlink = {"name": "ef21", "compressor": server_compressor}
    return bidirectional(problem, steps, uplink=uplink, downlink=downlink, **more)


def ef21_plus(
    problem: Logistic,
    steps: int,
    lr: float,
    compressor: dict,
    blocks: str = "auto",
    schedule: dict | None = None,
) -> np.ndarray:
    """g_i^{t+1} = h + C(x - h) where that is no farther from x than C(x), else C(x)."""
    c = compressors.build(compressor, blocks, problem.tensors)
    x = np.zeros(problem.d)
    g = problem.gradients(x)
    iterates = [x]
    for t in range(1, steps + 1):
        x = x - learning_rate(lr, schedule, t) * sum(g) / problem.n
        iterates.append(x)
        for i, new in enumerate(problem.gradients(x)):
            markov, plain = g[i] + c(new - g[i]), c(new)
            g[i] = markov if norm2(markov - new) <= norm2(plain - new) else plain
    return np.array(iterates)
