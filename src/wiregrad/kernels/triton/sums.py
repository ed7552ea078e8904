"""Norms of rows in the order of summation of `compressors.reduce`; e += g on the way.

A run is folded into columns, which are then halved: column c of w takes column c + ⌈w/2⌉, again and
again. The columns that end in one of the first ⌈w/2^K⌉ form a tree of their own, whatever the
others do: a program adds up such trees, and a second kernel what they leave.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.triton.launch import blocks, power_of_two, rows_and_more, run

FOLD = 1 << 15
_FOLD = tl.constexpr(FOLD)
_TILE = 1024
"""Columns that a program adds up."""
_LEVELS = 5
_LARGEST = tl.constexpr(torch.finfo(torch.float32).max)
_INFINITY = tl.constexpr(0x7F800000)

MEAN, ROOT_MEAN, NORM = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
"""What `scales` makes of sums of |x|, of x², and of x²: a mean, its root, the root rounded up."""
_NOT_FINITE, _RANGE = tl.constexpr(1), tl.constexpr(2)


@triton.jit
def at_least(value):
    """float64 >= 0 rounded up to float32."""
    near = value.to(tl.float32)
    up = (near.to(tl.int32, bitcast=True) + 1).to(tl.float32, bitcast=True)
    return tl.where(near.to(tl.float64) < value, up, near)


@triton.jit
def _halved(width, times):
    return (width + (1 << times) - 1) >> times


@triton.jit
def _sources(target, branch, width, LEVELS: tl.constexpr):
    """Which of `width` columns reach `target` by halving LEVELS times, `branch` by `branch`."""
    column = target + branch * 0
    valid = column < _halved(width, LEVELS)
    for level in tl.static_range(LEVELS):
        column += ((branch >> level) & 1) * _halved(width, LEVELS - level)
        valid &= column < _halved(width, LEVELS - level - 1)
    return column, valid


@triton.jit
def _tree(values, LEVELS: tl.constexpr, LANES: tl.constexpr):
    """Adds up `values` [2^LEVELS, LANES] as halving does: [LANES]."""
    for level in tl.static_range(LEVELS):
        split = tl.reshape(values, (2, 1 << (LEVELS - 1 - level), LANES))
        values = tl.sum(split, axis=0)
    return tl.reshape(values, (LANES,))


@triton.jit
def _fold(
    e, g, totals, d, size, runs, e_stride, g_stride, kept, column_blocks,
    ADD: tl.constexpr, SQUARE: tl.constexpr, LEVELS: tl.constexpr, COLUMNS: tl.constexpr,
    LANES: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    lane = tl.arange(0, LANES)[None, :]
    branch = tl.arange(0, 1 << LEVELS)[:, None]
    number = tl.program_id(0)
    each = number // column_blocks * (LANES // COLUMNS) + lane // COLUMNS
    target = number % column_blocks * COLUMNS + lane % COLUMNS
    start = each.to(tl.int64) * size
    length = tl.where(each < runs, tl.minimum(d - start, size), 0).to(tl.int32)
    column, valid = _sources(target, branch, tl.minimum(length, _FOLD), LEVELS)
    mine = e + row * e_stride + start + column
    more = g + row * g_stride + start + column
    total = tl.zeros((1 << LEVELS, LANES), tl.float64)
    for at in range(0, size, _FOLD):
        here = valid & (at + column < length)
        x = tl.load(mine + at, mask=here, other=0.0)
        if ADD:
            x += tl.load(more + at, mask=here, other=0.0)
            tl.store(mine + at, x, mask=here)
        wide = x.to(tl.float64)
        total += wide * wide if SQUARE else tl.abs(wide)
    total = _tree(total, LEVELS, LANES)
    each, target = tl.reshape(each, (LANES,)), tl.reshape(target, (LANES,))
    to = totals + (row * runs + each) * kept + target
    tl.store(to, total, mask=(each < runs) & (target < kept))


@triton.jit
def _finish(
    totals, scales, status, d, size, runs, kept,
    DONE: tl.constexpr, LEVELS: tl.constexpr, LANES: tl.constexpr, MODE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    each = tl.program_id(0) * LANES + tl.arange(0, LANES)
    length = tl.where(each < runs, tl.minimum(d - each.to(tl.int64) * size, size), 0)
    width = _halved(tl.minimum(length, _FOLD).to(tl.int32), DONE)
    branch = tl.arange(0, 1 << LEVELS)[:, None]
    column, valid = _sources(each[None, :] * 0, branch, width[None, :], LEVELS)
    sources = totals + (row * runs + each[None, :]) * kept + column
    total = _tree(tl.load(sources, mask=valid, other=0.0), LEVELS, LANES)
    inside = each < runs
    worst = tl.where((total - total == 0.0) | (each >= runs), 0, _NOT_FINITE)
    if MODE == NORM:
        scale = at_least(tl.sqrt(total))
        ends = scale.to(tl.int32, bitcast=True) >= _INFINITY
        worst = tl.maximum(worst, tl.where(inside & ends & (worst == 0), _RANGE, 0))
    else:
        mean = total / tl.maximum(length, 1).to(tl.float64)
        if MODE == ROOT_MEAN:
            mean = tl.sqrt(mean)
        largest = tl.full((LANES,), _LARGEST, tl.float64)
        scale = tl.where(mean > largest, largest, mean).to(tl.float32)
    tl.store(scales + row * runs + each, scale, mask=inside)
    tl.atomic_max(status, tl.max(worst, axis=0))


def scales(
    e: torch.Tensor, g: torch.Tensor | None, size: int, mode: int, status: torch.Tensor
) -> torch.Tensor:
    """Add g to e; the scales `[n, ⌈d/size⌉]` of its runs of `size` elements.

    `status` int32 `[1]` becomes at least 1 where e is not finite, else at least 2 where a norm
    leaves the range of float32.
    """
    n, d, stride, more, more_stride = rows_and_more(e, g)
    runs, width = blocks(d, size), min(size, FOLD)
    levels = min(_LEVELS, power_of_two(width).bit_length() - 1)
    kept = blocks(width, 1 << levels)
    columns = min(power_of_two(kept), _TILE >> levels)
    lanes = _TILE >> levels
    totals = torch.empty(n, runs, kept, dtype=torch.float64, device=e.device)
    column_blocks = blocks(kept, columns)
    grid = (blocks(runs, lanes // columns) * column_blocks, n)
    run(
        _fold, grid, e, more, totals, d, size, runs, stride, more_stride, kept, column_blocks,
        ADD=g is not None, SQUARE=mode != MEAN.value, LEVELS=levels, COLUMNS=columns, LANES=lanes,
    )  # fmt: skip
    found = torch.empty(n, runs, dtype=torch.float32, device=e.device)
    rest = power_of_two(kept).bit_length() - 1
    lanes = max(1, min(_TILE >> rest, power_of_two(runs)))
    run(
        _finish, (blocks(runs, lanes), n), totals, found, status, d, size, runs, kept,
        DONE=levels, LEVELS=rest, LANES=lanes, MODE=mode,
    )  # fmt: skip
    return found
