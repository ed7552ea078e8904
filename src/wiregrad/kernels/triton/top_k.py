"""Twin of `kernels.top_k`: the k-th size by torch, everything else in two passes."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.top_k import TopKRows
from wiregrad.kernels.triton.compact import INFINITE, add, before
from wiregrad.kernels.triton.launch import blocks, rows_of, run

_BLOCK = 1024


@triton.jit
def _count(sizes, least, above, ties, d, number, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    size = tl.load(sizes + row * d + j, mask=j < d, other=-1)
    threshold = tl.load(least + row)
    at = row * number + tl.program_id(0)
    tl.store(above + at, tl.sum((size > threshold).to(tl.int32), axis=0))
    tl.store(ties + at, tl.sum((size == threshold).to(tl.int32), axis=0))


@triton.jit
def _select(
    e, sizes, least, above, ties, allowed, indices, values, d, k, stride, number,
    SUBTRACT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    size = tl.load(sizes + row * d + j, mask=j < d, other=-1)
    threshold = tl.load(least + row)
    larger, tie = (size > threshold).to(tl.int32), (size == threshold).to(tl.int32)
    at = row * number + tl.program_id(0)
    rank = tl.load(ties + at) + tl.cumsum(tie, axis=0) - tie
    room = tl.load(allowed + row)
    place = tl.load(above + at) + tl.cumsum(larger, axis=0) - larger + tl.minimum(rank, room)
    keep = (larger != 0) | ((tie != 0) & (rank < room))
    mine = e + row * stride + j
    tl.store(values + row * k + place, tl.load(mine, mask=keep, other=0.0), mask=keep)
    tl.store(indices + row * k + place, j, mask=keep)
    if SUBTRACT:
        tl.store(mine, tl.zeros((BLOCK,), tl.float32), mask=keep)


def select(
    e: torch.Tensor, g: torch.Tensor | None, k: int, subtract: bool = True
) -> tuple[TopKRows, bool]:
    """Twin of `kernels.top_k.select`."""
    n, d, stride = rows_of(e)
    if not 1 <= k <= d < 1 << 31:
        raise ValueError(f"k = {k} of {d} elements, allowed: 1 to {d}, below 2^31")
    largest, sizes = add(e, g, keep=True)
    least = sizes.kthvalue(d - k + 1, dim=-1).values
    number = blocks(d, _BLOCK)
    above, ties = torch.empty(2, n, number, dtype=torch.int32, device=e.device)
    run(_count, (number, n), sizes, least, above, ties, d, number, BLOCK=_BLOCK)
    found = TopKRows(
        torch.empty(n, k, dtype=torch.int32, device=e.device),
        torch.empty(n, k, dtype=torch.float32, device=e.device),
        d,
    )
    run(
        _select, (number, n), e, sizes, least, before(above), before(ties),
        k - above.sum(-1), found.indices, found.values, d, k, stride, number,
        SUBTRACT=subtract, BLOCK=_BLOCK,
    )  # fmt: skip
    return found, int(largest.max()) < INFINITE.value
