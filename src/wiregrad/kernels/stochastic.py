"""Quantisers and random sparsifiers: error feedback, draws and packing in one pass, and decoding.

The encoding functions take the sender's `e` `[n, d]` and a `g` of the same shape, or None. They do
e += g, encode the rows of e, and with `subtract` do e -= decoded; without g and `subtract`, e is
only read. `keys` `[n]`, int64: one for each row, from `kernels.draws.keys_of`. They return a Status
with the encoded rows; unless it is FINE, the content of e is undefined. What is drawn and how
elements are rounded is defined in `kernels.draws` and `compressors.levels`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch

from wiregrad.kernels import native, require, rows_of, with_twins


class Status(IntEnum):
    """Whether the rows could be encoded."""

    FINE = 0
    NOT_FINITE = 1
    """An element is NaN or Inf."""
    RANGE = 2
    """A scale, or a value to be sent, leaves the range of float32."""


class Kind(IntEnum):
    """What the symbols of `LevelRows` stand for, with s the largest level."""

    UNIFORM = 0
    """symbol − s times scale/s; rounded at random."""
    TERNARY = 1
    """0, scale, −scale for the symbols 0, 1, 2; drawn at random."""
    POWER = 2
    """0, ±2^(|l| − s) times the scale for l = symbol − s; rounded to the nearest."""


class Mode(IntEnum):
    """What is done with the decoded rows."""

    WRITE = 0
    ADD = 1
    SUBTRACT = 2


class LevelRows(NamedTuple):
    """n rows of d elements, encoded and packed as in a payload: `width` bits a symbol."""

    scales: torch.Tensor
    """`[n]`"""
    packed: torch.Tensor
    """uint8 `[n, ⌈d·width/8⌉]`, the first element in the lowest bits."""
    nonzeros: torch.Tensor
    """int64 `[n]`: how many symbols are not 0; of ternary rows only."""
    d: int
    kind: Kind
    s: int
    width: int


class NaturalRows(NamedTuple):
    """n rows of d elements, encoded: the sign and the exponent field of each, 9 bits."""

    packed: torch.Tensor
    d: int


class KeptRows(NamedTuple):
    """The elements that are sent of each row: int64 indices, increasing, and their values."""

    indices: list[torch.Tensor]
    values: list[torch.Tensor]


@with_twins
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
    """Quantise the rows of e to s levels of a scale, in symbols of `width` bits.

    The scale is the row's largest |e_j| with `largest`, else its norm, rounded up to float32.
    `keys`: None for `Kind.POWER`, which does not draw.
    """
    given = _rows(e, g)
    n, d = given[4:]
    if not 1 <= s <= 127 or not 2 <= width <= 8 or 2 * s >= 1 << width:
        raise ValueError(f"{s} levels in {width} bits, allowed: 1 to 127 in 2 to 8")
    packed = torch.empty(n, (d * width + 7) // 8, dtype=torch.uint8)
    nonzeros = torch.zeros(n, dtype=torch.int64)
    found = LevelRows(torch.empty(n), packed, nonzeros, d, kind, s, width)
    status = native().quantise(
        *given,
        kind,
        s,
        width,
        largest,
        subtract,
        0 if kind == Kind.POWER else _keys(keys, n),
        found.packed.data_ptr(),
        found.packed.shape[1],
        found.scales.data_ptr(),
        found.nonzeros.data_ptr(),
    )
    return found, Status(status)


@with_twins
def apply(rows: LevelRows, out: torch.Tensor, mode: Mode) -> None:
    """Write, add or subtract the decoded rows: to `out` `[n, d]`, or one by one to `out` `[d]`."""
    address, stride = _out(out, len(rows.packed), rows.d)
    if rows.scales.dtype != torch.float32 or rows.packed.dtype != torch.uint8:
        raise ValueError("level rows are float32 scales and uint8 symbols")
    if rows.packed.shape != (len(rows.scales), (rows.d * rows.width + 7) // 8):
        raise ValueError(f"{list(rows.packed.shape)} bytes of {rows.d} symbols do not fit")
    native().quantise_apply(
        rows.packed.data_ptr(),
        rows.packed.stride(0),
        rows.scales.contiguous().data_ptr(),
        len(rows.packed),
        rows.d,
        rows.kind,
        rows.s,
        rows.width,
        mode,
        address,
        stride,
    )


@with_twins
def ternary_nonzeros(rows: LevelRows, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (int64) of this row's symbols that are not 0, and whether they are negative."""
    count = int(rows.nonzeros[row])
    indices = torch.empty(count, dtype=torch.int64)
    negative = torch.empty(count, dtype=torch.bool)
    native().ternary_nonzeros(
        rows.packed[row].data_ptr(), rows.d, indices.data_ptr(), negative.data_ptr()
    )
    return indices, negative


@with_twins
def sparsify(
    e: torch.Tensor, g: torch.Tensor | None, keys: torch.Tensor, chance: int, subtract: bool = True
) -> tuple[KeptRows, Status]:
    """Keep each element x of e with probability chance·2⁻³¹; x·2³¹/chance is sent for it."""
    address, stride, more, more_stride, n, d = _rows(e, g)
    if not 1 <= chance <= 1 << 31:
        raise ValueError(f"chance {chance}, allowed: 1 to 2^31")
    _keys(keys, n)
    found = KeptRows([], [])
    worst = Status.FINE
    room_i, room_v = torch.empty(d, dtype=torch.int64), torch.empty(d)
    for i, key in enumerate(keys.tolist()):
        count = native().sparsify(
            address + 4 * stride * i,
            more + 4 * more_stride * i,
            d,
            chance,
            subtract,
            key & _ALL_BITS,
            room_i.data_ptr(),
            room_v.data_ptr(),
        )
        worst = max(worst, Status(max(0, -count)))
        found.indices.append(room_i[: max(0, count)].clone())
        found.values.append(room_v[: max(0, count)].clone())
    return found, worst


def subsets(keys: torch.Tensor, k: int, d: int) -> torch.Tensor:
    """As `kernels.draws.subsets`: k of d indices for each key, int64, increasing."""
    if not 0 <= k <= d <= 1 << 31:
        raise ValueError(f"{k} of {d} elements, allowed: 0 to d of at most 2^31")
    out = torch.empty(len(keys), k, dtype=torch.int64)
    draw, address = native().subset, out.data_ptr()
    for row, key in enumerate(keys.tolist()):
        draw(key & _ALL_BITS, k, d, address + 8 * k * row)
    return out


@with_twins
def rand_k(
    e: torch.Tensor,
    g: torch.Tensor | None,
    keys: torch.Tensor,
    k: int,
    factor: float = 1.0,
    subtract: bool = True,
) -> tuple[KeptRows, Status]:
    """Keep k elements x of each row of e, drawn without replacement; x·factor is sent for each."""
    given = _rows(e, g)
    n, d = given[4:]
    if not 1 <= k <= d:
        raise ValueError(f"{k} of {d} elements, allowed: 1 to {d}")
    indices, values = torch.empty(n, k, dtype=torch.int64), torch.empty(n, k)
    status = native().rand_k(
        *given,
        k,
        factor,
        subtract,
        _keys(keys, n),
        indices.data_ptr(),
        values.data_ptr(),
    )
    return KeptRows(list(indices), list(values)), Status(status)


@with_twins
def natural(
    e: torch.Tensor, g: torch.Tensor | None, keys: torch.Tensor, subtract: bool = True
) -> tuple[NaturalRows, Status]:
    """Round each element of e at random to one of the two powers of two around it."""
    given = _rows(e, g)
    n, d = given[4:]
    packed = torch.empty(n, (9 * d + 7) // 8, dtype=torch.uint8)
    status = native().natural(*given, subtract, _keys(keys, n), packed.data_ptr(), packed.shape[1])
    return NaturalRows(packed, d), Status(status)


@with_twins
def natural_apply(rows: NaturalRows, out: torch.Tensor, mode: Mode) -> None:
    """Write, add or subtract the decoded rows: to `out` `[n, d]`, or one by one to `out` `[d]`."""
    n = len(rows.packed)
    address, stride = _out(out, n, rows.d)
    if rows.packed.dtype != torch.uint8 or rows.packed.shape[1] != (9 * rows.d + 7) // 8:
        raise ValueError(f"{list(rows.packed.shape)} bytes of {rows.d} symbols do not fit")
    native().natural_apply(
        rows.packed.data_ptr(), rows.packed.stride(0), n, rows.d, mode, address, stride
    )


def philox(key: int, stream: int, start: int, blocks: int) -> torch.Tensor:
    """The words `[blocks, 4]`, int64, of the blocks from `start` on."""
    out = torch.empty(blocks, 4, dtype=torch.int32)
    native().philox(key & _ALL_BITS, stream, start, blocks, out.data_ptr())
    return out.long() & 0xFFFFFFFF


_ALL_BITS = (1 << 64) - 1


def _rows(e: torch.Tensor, g: torch.Tensor | None) -> tuple[int, int, int, int, int, int]:
    """Address and distance of the rows of e, and of those of g (0, 0: none); their n and d."""
    require(e, g)
    if g is not None and g.shape != e.shape:
        raise ValueError(f"g must be {list(e.shape)}, got {list(g.shape)}")
    if not 1 <= e.shape[-1] <= 1 << 31:
        raise ValueError(f"rows of {e.shape[-1]} elements, allowed: 1 to 2^31")
    address, n, d, stride = rows_of(e)
    more, more_stride = (0, 0) if g is None else (g.data_ptr(), rows_of(g)[3])
    return address, stride, more, more_stride, n, d


def _keys(keys: torch.Tensor | None, n: int) -> int:
    if keys is None or keys.dtype != torch.int64 or keys.shape != (n,):
        raise ValueError(f"{n} rows draw: a key for each, int64, is required")
    if keys.device.type != "cpu" or not keys.is_contiguous():
        raise ValueError("keys must be contiguous and on the CPU")
    return keys.data_ptr()


def _out(out: torch.Tensor, n: int, d: int) -> tuple[int, int]:
    """Address and distance of the rows of `out`; a distance of 0 where there is but one."""
    require(out)
    if out.shape == (d,):
        return out.data_ptr(), 0
    address, count, length, stride = rows_of(out)
    if (count, length) != (n, d):
        raise ValueError(f"out must be [{n}, {d}] or [{d}], got {list(out.shape)}")
    return address, stride
