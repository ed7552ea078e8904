"""Signs times a scale: error feedback and packing in one pass, decoding, and summing rows."""

from __future__ import annotations

from typing import NamedTuple

import torch

from wiregrad.kernels import native, require, rows_of, with_twins


class SignRows(NamedTuple):
    """n rows of d elements, encoded and packed as in a payload."""

    scales: torch.Tensor
    """`[n, ⌈d/size⌉]`: one for every `size` elements, the last run may be shorter."""
    bits: torch.Tensor
    """uint8 `[n, ⌈d/8⌉]`, the first element in the lowest bit, set where it is negative."""
    d: int
    size: int


@with_twins
def encode(
    e: torch.Tensor,
    g: torch.Tensor | None,
    size: int,
    square: bool = False,
    subtract: bool = True,
) -> tuple[SignRows, bool]:
    """Do e += g, encode the rows of e `[n, d]`, and with `subtract` do e -= decoded.

    `g`: `[n, d]` or None. `size`: elements that share a scale. It is their mean |e_j|, or with
    `square` their root mean square, summed as in `compressors.reduce` and rounded to float32. Also
    returns whether e + g is finite throughout; where it is not, the content of e is undefined.
    """
    address, n, d, stride = rows_of(e)
    require(e, g)
    if g is not None and g.shape != e.shape:
        raise ValueError(f"g must be {list(e.shape)}, got {list(g.shape)}")
    if size < 1 or d < 1:
        raise ValueError(f"rows of {d} elements in runs of {size}, allowed: 1 or more of each")
    size = min(size, d)
    found = SignRows(
        torch.empty(n, -(-d // size)), torch.empty(n, (d + 7) // 8, dtype=torch.uint8), d, size
    )
    more, more_stride = (0, 0) if g is None else (g.data_ptr(), rows_of(g)[3])
    finite = native().sign_encode(
        address,
        stride,
        more,
        more_stride,
        n,
        d,
        size,
        square,
        subtract,
        found.scales.data_ptr(),
        found.bits.data_ptr(),
    )
    return found, finite


@with_twins
def decode(rows: SignRows, out: torch.Tensor) -> None:
    """Write the decoded rows to `out` `[n, d]`."""
    require(out)
    scales, bits, n = _checked(rows)
    address, count, d, stride = rows_of(out)
    if (count, d) != (n, rows.d):
        raise ValueError(f"out must be [{n}, {rows.d}], got {list(out.shape)}")
    native().sign_decode(scales, bits, n, d, rows.size, address, stride)


@with_twins
def accumulate(
    rows: SignRows, out: torch.Tensor, fresh: bool = False, divisor: float = 1.0
) -> None:
    """`out` `[d]` += the decoded rows, one after the other; then `out` /= `divisor`.

    With `fresh`, `out` is taken as zeros before.
    """
    require(out)
    scales, bits, n = _checked(rows)
    if out.shape != (rows.d,):
        raise ValueError(f"out must be [{rows.d}], got {list(out.shape)}")
    native().sign_sum(scales, bits, n, rows.d, rows.size, out.data_ptr(), fresh, divisor)


def _checked(rows: SignRows) -> tuple[int, int, int]:
    """Addresses of scales and bits, and n; raises ValueError where they do not fit together."""
    n = len(rows.bits)
    if rows.bits.dtype != torch.uint8 or rows.scales.dtype != torch.float32 or rows.size < 1:
        raise ValueError("sign rows are float32 scales, uint8 bits and a positive size")
    if rows.bits.shape != (n, (rows.d + 7) // 8) or not rows.bits.is_contiguous():
        raise ValueError(f"bits of {rows.d} elements must be contiguous, got {rows.bits.shape}")
    if rows.scales.shape != (n, -(-rows.d // rows.size)) or not rows.scales.is_contiguous():
        raise ValueError(f"scales of {rows.d} elements in runs of {rows.size} do not fit")
    return rows.scales.data_ptr(), rows.bits.data_ptr(), n
