"""Twins of `kernels.stochastic.sparsify` and `rand_k`: some elements are sent, times a factor."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.stochastic import KeptRows, Status
from wiregrad.kernels.triton.compact import INFINITE, add, before
from wiregrad.kernels.triton.draws import draw, keys_for
from wiregrad.kernels.triton.launch import blocks, rows_of, run

_GROUPS = 128
_BLOCK = 512
_RANGE = torch.finfo(torch.float32).max


@triton.jit
def _kept(keys, row, number, d, least, GROUPS: tl.constexpr):
    group = (number * GROUPS + tl.arange(0, GROUPS))[:, None]
    lane = tl.arange(0, 8)[None, :]
    drawn = draw(tl.load(keys + row), group, lane)
    j = group * 8 + lane
    keep = (drawn >= least) & (j < d)
    return tl.reshape(j, (8 * GROUPS,)), tl.reshape(keep.to(tl.int32), (8 * GROUPS,))


@triton.jit
def _count(keys, counts, d, least, number, GROUPS: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    _, keep = _kept(keys, row, tl.program_id(0), d, least, GROUPS)
    tl.store(counts + row * number + tl.program_id(0), tl.sum(keep, axis=0))


@triton.jit
def _sparsify(
    e, keys, starts, share, indices, values, d, least, stride, number,
    SUBTRACT: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    j, keep = _kept(keys, row, tl.program_id(0), d, least, GROUPS)
    place = tl.load(starts + row * number + tl.program_id(0)) + tl.cumsum(keep, axis=0) - keep
    sends = keep != 0
    mine = e + row * stride + j
    x = tl.load(mine, mask=sends, other=0.0)
    value = (x.to(tl.float64) / (x.to(tl.float64) * 0.0 + tl.load(share))).to(tl.float32)
    tl.store(indices + place, j.to(tl.int64), mask=sends)
    tl.store(values + place, value, mask=sends)
    if SUBTRACT:
        tl.store(mine, x - value, mask=sends)


@triton.jit
def _gather(e, indices, values, factor, k, stride, SUBTRACT: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < k
    mine = e + row * stride + tl.load(indices + row * k + place, mask=inside, other=0)
    x = tl.load(mine, mask=inside, other=0.0)
    value = (x.to(tl.float64) * tl.load(factor)).to(tl.float32)
    tl.store(values + row * k + place, value, mask=inside)
    if SUBTRACT:
        tl.store(mine, x - value, mask=inside)


def sparsify(
    e: torch.Tensor, g: torch.Tensor | None, keys: torch.Tensor, chance: int, subtract: bool = True
) -> tuple[KeptRows, Status]:
    """Twin of `kernels.stochastic.sparsify`."""
    if not 1 <= chance <= 1 << 31:
        raise ValueError(f"chance {chance}, allowed: 1 to 2^31")
    n, d, stride = rows_of(e)
    drawing = keys_for(keys, n, e.device)
    share = _scalar(chance / (1 << 31), e)
    top, _ = add(e, g)
    status = _status(top, top.view(torch.float32).double() / share)
    number, least = blocks(d, 8 * _GROUPS), (1 << 31) - chance
    counts = torch.empty(n, number, dtype=torch.int32, device=e.device)
    run(_count, (number, n), drawing, counts, d, least, number, GROUPS=_GROUPS)
    lengths = counts.sum(-1).tolist()
    indices = torch.empty(sum(lengths), dtype=torch.int64, device=e.device)
    values = torch.empty(sum(lengths), dtype=torch.float32, device=e.device)
    starts = before(counts.view(1, -1))
    run(
        _sparsify, (number, n), e, drawing, starts, share, indices, values, d, least, stride,
        number, SUBTRACT=subtract, GROUPS=_GROUPS,
    )  # fmt: skip
    return KeptRows(list(torch.split(indices, lengths)), list(torch.split(values, lengths))), status


def rand_k(
    e: torch.Tensor,
    g: torch.Tensor | None,
    keys: torch.Tensor,
    k: int,
    factor: float = 1.0,
    subtract: bool = True,
) -> tuple[KeptRows, Status]:
    """Twin of `kernels.stochastic.rand_k`; the indices are drawn on the CPU, one by one."""
    from wiregrad.kernels.draws import subsets  # noqa: PLC0415 - imports the kernels itself

    n, d, stride = rows_of(e)
    if not 1 <= k <= d:
        raise ValueError(f"{k} of {d} elements, allowed: 1 to {d}")
    drawing = keys_for(keys, n, torch.device("cpu"))
    top, _ = add(e, g)
    by = _scalar(factor, e)
    status = _status(top, top.view(torch.float32).double() * by)
    indices = subsets(drawing, k, d).to(e.device)
    values = torch.empty(n, k, dtype=torch.float32, device=e.device)
    run(
        _gather, (blocks(k, _BLOCK), n), e, indices, values, by, k, stride,
        SUBTRACT=subtract, BLOCK=_BLOCK,
    )  # fmt: skip
    return KeptRows(list(indices), list(values)), status


def _scalar(value: float, like: torch.Tensor) -> torch.Tensor:
    return torch.full((1,), value, dtype=torch.float64, device=like.device)


def _status(top: torch.Tensor, sent: torch.Tensor) -> Status:
    """Of rows with these largest sizes (bits), of which `sent` is the most that is sent."""
    worst = torch.where(sent > _RANGE, int(Status.RANGE), int(Status.FINE))
    return Status(int(worst.masked_fill_(top >= INFINITE.value, int(Status.NOT_FINITE)).max()))
