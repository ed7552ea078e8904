"""Norms of rows in a fixed order of summation.

`torch.sum` may change its last bit with the batch, the number of threads and the device. These
reductions fold and halve the row in elementwise steps, in float64, so that a row's norm depends on
the row alone: the sender in a batch of n and the sender on its own write the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from wiregrad.kernels.dense import nearest_root

Visit = Callable[[slice], None]
"""A function of a run of columns, whose first one is a multiple of 8."""

_WIDTH = 1 << 15
"""Columns that a row is folded into before they are halved. Part of the order of summation."""
VISITED = 2 * _WIDTH
"""Columns visited at a time, at most."""
_MAX_EXPONENT = 1000
"""Scaling by more than this power of two could itself leave the float64 range."""


def scale_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that scales travel in: float64 for float64 vectors, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def all_finite(x: torch.Tensor) -> bool:
    """Whether no element is NaN or Inf: one pass without a temporary."""
    return not x.numel() or all(math.isfinite(end) for end in torch.aminmax(x))


def norm1(x: torch.Tensor) -> torch.Tensor:
    """‖x‖₁ of each row of `[..., d]`, float64; Inf where it leaves that range."""
    return _reduce(x, torch.Tensor.abs_)


def mean_abs(x: torch.Tensor, first: Visit | None = None) -> torch.Tensor:
    """‖x‖₁ / d of each row, float64, never above the largest value of x's type.

    `first` is called with every run of columns before they are read; it may change them, and what
    it leaves is summed while they are in the cache.
    """
    mean = _reduce(x, torch.Tensor.abs_, mean=True, first=first)
    return mean.clamp_(max=torch.finfo(x.dtype).max)


def norm2(x: torch.Tensor) -> torch.Tensor:
    """‖x‖₂ of each row of `[..., d]`, float64; Inf where it leaves that range."""
    return _reduce(x, torch.Tensor.square_, root=True)


def root_mean_square(x: torch.Tensor) -> torch.Tensor:
    """‖x‖₂ / √d of each row, float64, never above the largest value of x's type."""
    rms = _reduce(x, torch.Tensor.square_, mean=True, root=True)
    return rms.clamp_(max=torch.finfo(x.dtype).max)


def max_abs(x: torch.Tensor) -> torch.Tensor:
    """‖x‖_∞ of each row of `[..., d]`, d > 0, in x's type."""
    low, high = torch.aminmax(x, dim=-1)
    return torch.maximum(low.neg(), high).abs_()


def exponent(x: torch.Tensor) -> torch.Tensor:
    """E of each row, int32, with 2^(e-1) ≤ ‖x‖_∞ < 2^e; 0 for a row of zeros."""
    return torch.frexp(max_abs(x).double())[1]


def times_power(x: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Return x · 2^power in float64, in two steps: 2^power itself may leave the range."""
    half = power.div(2, rounding_mode="floor")
    first, second = torch.exp2(half.double()), torch.exp2((power - half).double())
    return x.double() * first * second


def _reduce(
    x: torch.Tensor,
    term: Callable[[torch.Tensor], torch.Tensor],
    mean: bool = False,
    root: bool = False,
    first: Visit | None = None,
) -> torch.Tensor:
    by_numpy = term is torch.Tensor.abs_ and x.dtype == torch.float32 and x.device.type == "cpu"
    if first is not None and not by_numpy:
        for start in range(0, x.shape[-1], VISITED):
            first(slice(start, min(start + VISITED, x.shape[-1])))
    # The squares and sums of all narrower types stay within float64 as they are.
    wide = x.dtype == torch.float64
    power = exponent(x).clamp_(-_MAX_EXPONENT, _MAX_EXPONENT) if wide else None
    if by_numpy:
        total = _folded_sizes(x, first)
    else:
        width = min(_WIDTH, x.shape[-1])
        total, values = x.new_zeros(2, *x.shape[:-1], width, dtype=torch.float64)
        for piece in torch.split(x, _WIDTH, dim=-1):
            some = values[..., : piece.shape[-1]].copy_(piece)
            if power is not None:
                some *= torch.exp2(-power.double())[..., None]
            total[..., : piece.shape[-1]] += term(some)
    total = _halve(total)
    if mean:
        total /= x.shape[-1]
    if root:
        total = nearest_root(total)
    return total if power is None else total * torch.exp2(power.double())


def _folded_sizes(x: torch.Tensor, first: Visit | None) -> torch.Tensor:
    """The folded |x|, by NumPy, which adds float32 to float64 about twice as fast as torch."""
    rows = x.numpy()
    width = min(_WIDTH, rows.shape[-1])
    total = np.zeros((*rows.shape[:-1], width))
    sizes = np.empty_like(total, dtype=np.float32)
    for start in range(0, rows.shape[-1], _WIDTH):
        if first is not None and start % VISITED == 0:
            first(slice(start, min(start + VISITED, rows.shape[-1])))
        piece = rows[..., start : start + _WIDTH]
        some = np.abs(piece, out=sizes[..., : piece.shape[-1]])
        mine = total[..., : piece.shape[-1]]
        np.add(mine, some, out=mine)
    return torch.from_numpy(total)


def _halve(values: torch.Tensor) -> torch.Tensor:
    """Sum over the last dimension by halving it; overwrites `values`."""
    # NumPy has less of a cost for each step, of which there are many.
    rows: Any = values.numpy() if values.device.type == "cpu" else values
    width = values.shape[-1]
    while width > 1:
        half = (width + 1) // 2
        lower = rows[..., : width - half]
        lower += rows[..., half:width]
        width = half
    return values[..., 0].clone()


def at_least(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """float64 `value` ≥ 0 rounded up to `dtype`: no element of the row exceeds its norm."""
    near = value.to(dtype)
    up = torch.nextafter(near, torch.full_like(near, torch.inf))
    return torch.where(near.double() < value, up, near)
