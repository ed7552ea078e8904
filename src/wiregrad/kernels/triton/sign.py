"""Twins of `kernels.sign`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.sign import SignRows
from wiregrad.kernels.triton.launch import blocks, rows_of, run
from wiregrad.kernels.triton.sums import MEAN, ROOT_MEAN, scales

_GROUPS = 128
"""Bytes of signs that a program works on."""


@triton.jit
def _emit(e, scales, bits, d, size, runs, stride, SUBTRACT: tl.constexpr, GROUPS: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    group = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    lane = tl.arange(0, 8)[None, :]
    j = group[:, None] * 8 + lane
    inside = j < d
    x = tl.load(e + row * stride + j, mask=inside, other=0.0)
    negative = x < 0.0
    packed = tl.sum(negative.to(tl.int32) << lane, axis=1).to(tl.uint8)
    length = (d + 7) // 8
    tl.store(bits + row * length + group, packed, mask=group < length)
    if SUBTRACT:
        scale = tl.load(scales + row * runs + j // size, mask=inside, other=0.0)
        tl.store(e + row * stride + j, x - tl.where(negative, -scale, scale), mask=inside)


@triton.jit
def _decoded(scales, bits, row, j, inside, d, size, runs):
    byte = tl.load(bits + row * ((d + 7) // 8) + j // 8, mask=inside, other=0).to(tl.int32)
    scale = tl.load(scales + row * runs + j // size, mask=inside, other=0.0)
    return tl.where(((byte >> (j % 8)) & 1) != 0, -scale, scale)


@triton.jit
def _decode(scales, bits, out, d, size, runs, stride, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    found = _decoded(scales, bits, row, j, inside, d, size, runs)
    tl.store(out + row * stride + j, found, mask=inside)


@triton.jit
def _accumulate(
    scales, bits, out, n, d, size, runs, divisor, FRESH: tl.constexpr, BLOCK: tl.constexpr
):
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    total = tl.zeros((BLOCK,), tl.float32)
    if not FRESH:
        total += tl.load(out + j, mask=inside, other=0.0)
    row = tl.zeros((1,), tl.int64)
    for _ in range(n):
        total += _decoded(scales, bits, row, j, inside, d, size, runs)
        row += 1
    tl.store(out + j, tl.div_rn(total, total * 0.0 + divisor), mask=inside)


def encode(
    e: torch.Tensor,
    g: torch.Tensor | None,
    size: int,
    square: bool = False,
    subtract: bool = True,
) -> tuple[SignRows, bool]:
    """Twin of `kernels.sign.encode`."""
    n, d, stride = rows_of(e)
    if size < 1 or d < 1:
        raise ValueError(f"rows of {d} elements in runs of {size}, allowed: 1 or more of each")
    size = min(size, d)
    status = torch.zeros(1, dtype=torch.int32, device=e.device)
    found = scales(e, g, size, (ROOT_MEAN if square else MEAN).value, status)
    bits = torch.empty(n, blocks(d, 8), dtype=torch.uint8, device=e.device)
    run(
        _emit, (blocks(d, 8 * _GROUPS), n), e, found, bits, d, size, found.shape[1], stride,
        SUBTRACT=subtract, GROUPS=_GROUPS,
    )  # fmt: skip
    return SignRows(found, bits, d, size), not bool(status)


def decode(rows: SignRows, out: torch.Tensor) -> None:
    """Twin of `kernels.sign.decode`."""
    _check(rows, out)
    n, d, stride = rows_of(out)
    if (n, d) != (len(rows.bits), rows.d):
        raise ValueError(f"out must be [{len(rows.bits)}, {rows.d}], got {list(out.shape)}")
    run(
        _decode, (blocks(d, 1024), n), rows.scales, rows.bits, out, d, rows.size,
        rows.scales.shape[1], stride, BLOCK=1024,
    )  # fmt: skip


def accumulate(
    rows: SignRows, out: torch.Tensor, fresh: bool = False, divisor: float = 1.0
) -> None:
    """Twin of `kernels.sign.accumulate`."""
    _check(rows, out)
    if out.shape != (rows.d,):
        raise ValueError(f"out must be [{rows.d}], got {list(out.shape)}")
    rows_of(out)
    run(
        _accumulate, (blocks(rows.d, 512),), rows.scales, rows.bits, out, len(rows.bits), rows.d,
        rows.size, rows.scales.shape[1], float(divisor), FRESH=fresh, BLOCK=512,
    )  # fmt: skip


def _check(rows: SignRows, out: torch.Tensor) -> None:
    n, runs = len(rows.bits), blocks(rows.d, rows.size)
    if rows.bits.dtype != torch.uint8 or rows.scales.dtype != torch.float32:
        raise ValueError("sign rows are float32 scales and uint8 bits")
    if rows.bits.shape != (n, blocks(rows.d, 8)) or rows.scales.shape != (n, runs):
        raise ValueError(f"{rows.d} elements in runs of {rows.size} do not fit bits and scales")
    if not (rows.bits.is_contiguous() and rows.scales.is_contiguous()):
        raise ValueError("bits and scales must be contiguous")
    if not rows.bits.device == rows.scales.device == out.device:
        raise ValueError(f"rows on {rows.bits.device}, out on {out.device}")
