"""What the twins share: how a kernel is started, and how rows are described to it."""

from __future__ import annotations

from typing import Any

import torch

EXACT = {"enable_fp_fusion": False, "enable_reflect_ftz": False}
"""No fused multiply-add, and no flushing of denormal numbers in the device's library."""


def run(kernel: Any, grid: tuple[int, ...], *args: Any, warps: int = 4, **constants: Any) -> None:
    """Start a kernel on the device of its first argument."""
    with torch.cuda.device_of(args[0]):
        kernel[grid](*args, num_warps=warps, **EXACT, **constants)


def rows_of(x: torch.Tensor) -> tuple[int, int, int]:
    """Number of rows, their length and their distance, of `[n, d]` or one `[d]`.

    Raises ValueError where the kernels do not take them.
    """
    if x.dtype != torch.float32 or not 1 <= x.dim() <= 2:
        raise ValueError(f"float32 rows expected, got {list(x.shape)} of {x.dtype}")
    if x.shape[-1] > 1 and x.stride(-1) != 1:
        raise ValueError("rows must be contiguous")
    return (1, x.shape[0], x.shape[0]) if x.dim() == 1 else (*x.shape, x.stride(0))


def supports(x: torch.Tensor) -> bool:
    """Whether `rows_of` accepts x: float32 rows, contiguous in the last dimension."""
    rows = x.dtype == torch.float32 and 1 <= x.dim() <= 2
    return rows and (x.shape[-1] <= 1 or x.stride(-1) == 1)


def rows_and_more(
    e: torch.Tensor, g: torch.Tensor | None
) -> tuple[int, int, int, torch.Tensor, int]:
    """`rows_of` e, then g and the distance of its rows; e stands in where there is no g."""
    n, d, stride = rows_of(e)
    if g is None:
        return n, d, stride, e, stride
    if g.shape != e.shape or g.device != e.device:
        raise ValueError(f"g must be {list(e.shape)} on {e.device}, got {list(g.shape)}")
    return n, d, stride, g, rows_of(g)[2]


def blocks(count: int, size: int) -> int:
    """How many blocks of `size` hold `count`."""
    return -(-count // size)


def power_of_two(count: int) -> int:
    """The least power of two that is `count` or more."""
    return 1 << max(0, count - 1).bit_length()
