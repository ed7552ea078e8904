"""Exact Top-k with error feedback."""

from __future__ import annotations

from typing import NamedTuple

import torch

from wiregrad.kernels import native, require, rows_of, with_twins


class TopKRows(NamedTuple):
    """n rows of d elements, encoded: the k elements that are sent of each."""

    indices: torch.Tensor
    """int32 `[n, k]`, increasing."""
    values: torch.Tensor
    """`[n, k]`."""
    d: int


@with_twins
def select(
    e: torch.Tensor, g: torch.Tensor | None, k: int, subtract: bool = True
) -> tuple[TopKRows, bool]:
    """Do e += g, select the k largest |e_j| of each row of e `[n, d]`; with `subtract`, zero them.

    `g`: `[n, d]` or None. Of equals, those with the lower index are selected. Also returns whether
    e + g is finite throughout; where it is not, the content of e is undefined.
    """
    address, n, d, stride = rows_of(e)
    require(e, g)
    if g is not None and g.shape != e.shape:
        raise ValueError(f"g must be {list(e.shape)}, got {list(g.shape)}")
    if not 1 <= k <= d < 1 << 31:
        raise ValueError(f"k = {k} of {d} elements, allowed: 1 to {d}, below 2^31")
    found = TopKRows(torch.empty(n, k, dtype=torch.int32), torch.empty(n, k), d)
    more, more_stride = (0, 0) if g is None else (g.data_ptr(), rows_of(g)[3])
    finite = native().top_k(
        address,
        stride,
        more,
        more_stride,
        n,
        d,
        k,
        subtract,
        found.indices.data_ptr(),
        found.values.data_ptr(),
    )
    return found, finite
