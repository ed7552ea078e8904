"""Twins of `kernels.stochastic`: quantisers, natural compression, and reading them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.stochastic import Kind, LevelRows, Mode, NaturalRows, Status
from wiregrad.kernels.triton.compact import INFINITE, add
from wiregrad.kernels.triton.draws import draw, keys_for
from wiregrad.kernels.triton.keep import rand_k, sparsify
from wiregrad.kernels.triton.launch import blocks, rows_and_more, rows_of, run
from wiregrad.kernels.triton.levels import ADD, TERNARY, WRITE, symbols_of, values_of
from wiregrad.kernels.triton.pack import pack, packed_bytes, unpack
from wiregrad.kernels.triton.sums import NORM, scales

__all__ = [
    "apply",
    "natural",
    "natural_apply",
    "quantise",
    "rand_k",
    "sparsify",
    "ternary_nonzeros",
]
_GROUPS = 128
_BLOCK = 512
_NATURAL = 9
_DRAWN_LAST = tl.constexpr(2147483647)
_LARGEST_POWER = 0x7F000000


@triton.jit
def _quantise(
    e, keys, scales, packed, nonzeros, d, stride,
    KIND: tl.constexpr, S: tl.constexpr, WIDTH: tl.constexpr, SUBTRACT: tl.constexpr,
    GROUPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    group = (tl.program_id(0) * GROUPS + tl.arange(0, GROUPS))[:, None]
    lane = tl.arange(0, 8)[None, :]
    j = group * 8 + lane
    inside = j < d
    mine = e + row * stride + j
    x = tl.load(mine, mask=inside, other=0.0)
    scale = tl.load(scales + row + lane * 0)
    symbol = symbols_of(x, scale, tl.load(keys + row), group, lane, KIND, S)
    symbol = tl.where(inside, symbol, 0)
    pack(symbol, packed + row * packed_bytes(d, WIDTH), group, lane, d, WIDTH)
    if SUBTRACT:
        tl.store(mine, x - values_of(symbol, scale, KIND, S), mask=inside)
    if KIND == TERNARY:
        count = tl.sum(tl.sum((symbol != 0).to(tl.int64), axis=1), axis=0)
        tl.atomic_add(nonzeros + row, count)


@triton.jit
def _onto(to, value, inside, MODE: tl.constexpr):
    if MODE != WRITE:
        before = tl.load(to, mask=inside, other=0.0)
        value = before + value if MODE == ADD else before - value
    tl.store(to, value, mask=inside)


@triton.jit
def _apply(
    packed, scales, out, rows, d, packed_stride, stride,
    KIND: tl.constexpr, S: tl.constexpr, WIDTH: tl.constexpr, MODE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    row = tl.program_id(1).to(tl.int64) + tl.zeros((1,), tl.int64)
    for _ in range(rows):
        symbol = unpack(packed + row * packed_stride, j, d, inside, WIDTH)
        value = values_of(symbol, tl.load(scales + row), KIND, S)
        _onto(out + row * stride + j, value, inside, MODE)
        row += 1


@triton.jit
def _natural_value(symbol):
    return (((symbol & 0x100) << 23) | ((symbol & 0xFF) << 23)).to(tl.float32, bitcast=True)


@triton.jit
def _natural(
    e, keys, packed, d, stride,
    WIDTH: tl.constexpr, SUBTRACT: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    group = (tl.program_id(0) * GROUPS + tl.arange(0, GROUPS))[:, None]
    lane = tl.arange(0, 8)[None, :]
    j = group * 8 + lane
    inside = j < d
    mine = e + row * stride + j
    x = tl.load(mine, mask=inside, other=0.0)
    bits = x.to(tl.int32, bitcast=True)
    chance = (bits & 0x7FFFFF) << 8
    up = draw(tl.load(keys + row), group, lane) > chance ^ _DRAWN_LAST
    symbol = ((bits >> 23) & 0x1FF) + up.to(tl.int32)
    symbol = tl.where(inside, symbol, 0)
    pack(symbol, packed + row * packed_bytes(d, WIDTH), group, lane, d, WIDTH)
    if SUBTRACT:
        tl.store(mine, x - _natural_value(symbol), mask=inside)


@triton.jit
def _natural_apply(
    packed, out, rows, d, packed_stride, stride,
    WIDTH: tl.constexpr, MODE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    row = tl.program_id(1).to(tl.int64) + tl.zeros((1,), tl.int64)
    for _ in range(rows):
        symbol = unpack(packed + row * packed_stride, j, d, inside, WIDTH)
        _onto(out + row * stride + j, _natural_value(symbol), inside, MODE)
        row += 1


def quantise(
    e: torch.Tensor,
    g: torch.Tensor | None,
    keys: torch.Tensor | None,
    kind: Kind,
    s: int,
    width: int,
    largest: bool,
    subtract: bool = True,
) -> tuple[LevelRows, Status]:
    """Twin of `kernels.stochastic.quantise`."""
    if not 1 <= s <= 127 or not 2 <= width <= 8 or 2 * s >= 1 << width:
        raise ValueError(f"{s} levels in {width} bits, allowed: 1 to 127 in 2 to 8")
    n, d, stride = rows_of(e)
    status = torch.zeros(1, dtype=torch.int32, device=e.device)
    if largest:
        bits, _ = add(e, g)
        of_rows = bits.view(torch.float32)
        status += (bits.max() >= INFINITE.value).int()
    else:
        of_rows = scales(e, g, d, NORM.value, status)[:, 0]
    if kind == Kind.POWER:
        drawing = status.new_zeros(n, dtype=torch.int64)
    else:
        drawing = keys_for(keys, n, e.device)
    found = LevelRows(
        of_rows,
        torch.empty(n, blocks(d * width, 8), dtype=torch.uint8, device=e.device),
        torch.zeros(n, dtype=torch.int64, device=e.device),
        d,
        kind,
        s,
        width,
    )
    run(
        _quantise, (blocks(d, 8 * _GROUPS), n), e, drawing, of_rows, found.packed, found.nonzeros,
        d, stride, KIND=int(kind), S=s, WIDTH=width, SUBTRACT=subtract, GROUPS=_GROUPS,
    )  # fmt: skip
    return found, Status(int(status))


def apply(rows: LevelRows, out: torch.Tensor, mode: Mode) -> None:
    """Twin of `kernels.stochastic.apply`."""
    programs, each, stride = _targets(rows.packed, out, rows.d, rows.width)
    if rows.scales.dtype != torch.float32 or rows.scales.shape != (len(rows.packed),):
        raise ValueError("level rows are float32 scales and uint8 symbols")
    run(
        _apply, (blocks(rows.d, _BLOCK), programs), rows.packed, rows.scales.contiguous(), out,
        each, rows.d, rows.packed.stride(0), stride,
        KIND=int(rows.kind), S=rows.s, WIDTH=rows.width, MODE=int(mode), BLOCK=_BLOCK,
    )  # fmt: skip


def ternary_nonzeros(rows: LevelRows, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Twin of `kernels.stochastic.ternary_nonzeros`; both tensors on the CPU, to be sent."""
    packed = rows.packed[row].cpu()
    symbols = (packed[:, None] >> torch.tensor([0, 2, 4, 6], dtype=torch.uint8)) & 3
    indices = symbols.flatten()[: rows.d].nonzero()[:, 0]
    return indices, symbols.flatten()[indices] == 2


def natural(
    e: torch.Tensor, g: torch.Tensor | None, keys: torch.Tensor, subtract: bool = True
) -> tuple[NaturalRows, Status]:
    """Twin of `kernels.stochastic.natural`."""
    n, d, stride = rows_and_more(e, g)[:3]
    bits, _ = add(e, g)
    packed = torch.empty(n, blocks(d * _NATURAL, 8), dtype=torch.uint8, device=e.device)
    run(
        _natural, (blocks(d, 8 * _GROUPS), n), e, keys_for(keys, n, e.device), packed, d, stride,
        WIDTH=_NATURAL, SUBTRACT=subtract, GROUPS=_GROUPS,
    )  # fmt: skip
    status = Status.RANGE * (bits > _LARGEST_POWER).int()
    status -= (bits >= INFINITE.value).int()
    return NaturalRows(packed, d), Status(int(status.max()))


def natural_apply(rows: NaturalRows, out: torch.Tensor, mode: Mode) -> None:
    """Twin of `kernels.stochastic.natural_apply`."""
    programs, each, stride = _targets(rows.packed, out, rows.d, _NATURAL)
    run(
        _natural_apply, (blocks(rows.d, _BLOCK), programs), rows.packed, out, each, rows.d,
        rows.packed.stride(0), stride, WIDTH=_NATURAL, MODE=int(mode), BLOCK=_BLOCK,
    )  # fmt: skip


def _targets(packed: torch.Tensor, out: torch.Tensor, d: int, width: int) -> tuple[int, int, int]:
    """Programs for the rows, rows of each, distance of the rows of `out`: 0 where it is one."""
    n = len(packed)
    if packed.dtype != torch.uint8 or packed.shape != (n, blocks(d * width, 8)):
        raise ValueError(f"{list(packed.shape)} bytes of {d} symbols do not fit")
    if packed.shape[1] > 1 and packed.stride(1) != 1:
        raise ValueError("packed rows must be contiguous")
    if packed.device != out.device:
        raise ValueError(f"rows on {packed.device}, out on {out.device}")
    stride = rows_of(out)[2]
    if out.shape == (d,):
        return 1, n, 0
    if out.shape != (n, d):
        raise ValueError(f"out must be [{n}, {d}] or [{d}], got {list(out.shape)}")
    return n, 1, stride
