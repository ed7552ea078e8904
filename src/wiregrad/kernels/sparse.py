"""Adding up sparse rows, and packing symbols of any width."""

from __future__ import annotations

import torch

from wiregrad.kernels import native, require, with_twins


@with_twins
def accumulate(indices: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
    """`out` `[d]` [indices] += values, both `[...]`, contiguous, in their order; int32 indices.

    An index may come more than once. Raises IndexError where one is not in [0, d); `out` then
    holds the sum up to it.
    """
    require(out)
    if indices.shape != values.shape or out.dim() != 1:
        raise ValueError(f"{list(values.shape)} values at {list(indices.shape)} indices")
    if indices.dtype != torch.int32 or values.dtype != torch.float32:
        raise ValueError(f"{values.dtype} at {indices.dtype}, allowed: float32 at int32")
    if not (indices.is_contiguous() and values.is_contiguous()):
        raise ValueError("indices and values must be contiguous")
    count, d = indices.numel(), out.shape[0]
    if not native().sparse_add(indices.data_ptr(), values.data_ptr(), count, out.data_ptr(), d):
        raise IndexError(f"an index is not within [0, {d})")


def pack(symbols: torch.Tensor, width: int) -> torch.Tensor:
    """`wire.pack_bits` of int32 `[m]` (taken as unsigned, below 2^width): uint8 `[⌈m·width/8⌉]`."""
    _check_width(width)
    if symbols.dtype != torch.int32 or not symbols.is_contiguous():
        raise ValueError("symbols must be int32 and contiguous")
    out = torch.empty((symbols.numel() * width + 7) // 8, dtype=torch.uint8)
    native().pack(symbols.data_ptr(), symbols.numel(), width, out.data_ptr())
    return out


def unpack(data: torch.Tensor, count: int, width: int) -> torch.Tensor:
    """`wire.unpack_bits` of uint8 `[⌈count·width/8⌉]`, as int32 `[count]`; no check of the rest."""
    _check_width(width)
    if data.dtype != torch.uint8 or not data.is_contiguous():
        raise ValueError("packed data must be uint8 and contiguous")
    if data.numel() != (count * width + 7) // 8:
        raise ValueError(f"{data.numel()} bytes for {count} symbols of {width} bits")
    out = torch.empty(count, dtype=torch.int32)
    native().unpack(data.data_ptr(), count, width, out.data_ptr())
    return out


def _check_width(width: int) -> None:
    if not 1 <= width <= 32:
        raise ValueError(f"symbols of {width} bits, allowed: 1 to 32")
