"""Compressors in NumPy, from their definitions."""

from collections.abc import Callable

import numpy as np

from twins.draws import Stream

Compressor = Callable[..., np.ndarray]
"""Of a vector and, where it draws, of the sender's stream."""


def identity(x: np.ndarray) -> np.ndarray:
    return x.copy()


def top_k(
    x: np.ndarray, k: int | None = None, ratio: float | None = None, select: str = "exact"
) -> np.ndarray:
    """The k largest magnitudes; of equals the one that comes first."""
    if select == "quantile":
        return quantile(x, ratio)
    if k is None:
        k = max(1, int(ratio * len(x)))
    out = np.zeros_like(x)
    for j in sorted(range(len(x)), key=lambda j: (-abs(x[j]), j))[:k]:
        out[j] = x[j]
    return out


def quantile(x: np.ndarray, ratio: float) -> np.ndarray:
    """Top-k of the scripts: what lies strictly above the (1 - rho)-quantile of |x|."""
    rho = max(ratio, 1 / len(x))
    return np.where(np.abs(x) > np.quantile(np.abs(x), 1 - rho), x, 0.0)


def scaled_sign(x: np.ndarray, norm: str = "l1") -> np.ndarray:
    """sign(x) times the mean magnitude (l1), or times ‖x‖₂/√d (l2); sign(0) = 1."""
    scale = np.abs(x).sum() / len(x) if norm == "l1" else np.sqrt((x**2).sum() / len(x))
    return np.array([scale if value >= 0 else -scale for value in x])


def log_quantiser(x: np.ndarray, bits: int = 3) -> np.ndarray:
    """‖x‖_∞ times the nearest of 0, ±2^-k, ..., ±1/2, ±1: 2^bits - 1 points; ties go up."""
    sizes = [0.0] + [2.0**-p for p in range(2 ** (bits - 1) - 2, -1, -1)]
    points = np.abs(x).max() * np.array(sizes)
    out = np.zeros_like(x)
    for j in range(len(x)):
        distance = np.abs(abs(x[j]) - points)
        out[j] = np.sign(x[j]) * points[np.flatnonzero(distance == distance.min())[-1]]
    return out


def rand_k(
    x: np.ndarray,
    stream: Stream,
    k: int | None = None,
    ratio: float | None = None,
    scaled: bool = False,
) -> np.ndarray:
    """k coordinates without replacement, times d/k where it is to be unbiased."""
    if k is None:
        k = max(1, int(ratio * len(x)))
    k = min(k, len(x))
    out = np.zeros_like(x)
    for j in stream.chosen(k, len(x)):
        out[j] = x[j] * (len(x) / k if scaled else 1)
    return out


FAMILIES = {
    "identity": (identity, "whole"),
    "log_quantiser": (log_quantiser, "whole"),
    "rand_k": (rand_k, "whole"),
    "top_k": (top_k, "whole"),
    "scaled_sign": (scaled_sign, "whole"),
    "block_sign": (scaled_sign, "per_layer"),
}
"""Function and blocks where the configuration says `auto`."""


def build(spec: dict, blocks: str, tensors: list[tuple[str, int]]) -> Compressor:
    """The compressor of a configuration, applied to each block of x on its own."""
    parameters = dict(spec)
    family = parameters.pop("name")
    function, own_blocks = FAMILIES[family]
    groups: dict[str, int] = {}
    for name, length in tensors:
        key = {"whole": "", "per_tensor": name, "per_layer": name.split(".")[0]}[
            own_blocks if blocks == "auto" else blocks
        ]
        groups[key] = groups.get(key, 0) + length
    ends = np.cumsum(list(groups.values()))

    def compress(x: np.ndarray, stream: Stream | None = None) -> np.ndarray:
        drawing = {"stream": stream} if family == "rand_k" else {}
        out, start = np.zeros_like(x), 0
        for end in ends:
            out[start:end] = function(x[start:end], **drawing, **parameters)
            start = end
        return out

    return compress
