"""Bit packing: unsigned integers of 1 to 32 bits each, end to end in bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wiregrad.wire.errors import CorruptPayload, OversizedPayload, TruncatedPayload


def pack_bits(values: npt.NDArray[np.integer | np.bool_], width: int) -> bytes:
    """Pack non-negative integers `[m]`, `width` bits each (1..32), first value in the low bits.

    The last byte is filled with zeros: ⌈m·width / 8⌉ bytes.
    """
    if width == 1:
        return np.packbits(values.astype(np.uint8, copy=False), bitorder="little").tobytes()
    if width in (8, 16, 32):
        return values.astype(f"<u{width // 8}").tobytes()
    groups = np.zeros((-(-len(values) // 8), 8), dtype=np.uint32)
    groups.ravel()[: len(values)] = values
    packed = np.zeros((len(groups), width), dtype=np.uint8)
    for value, byte, shift in _overlaps(width):
        column = groups[:, value]
        packed[:, byte] |= (column << shift if shift > 0 else column >> -shift).astype(np.uint8)
    return packed.tobytes()[: packed_bytes(len(values), width)]


def unpack_bits(data: bytes, count: int, width: int) -> npt.NDArray[Any]:
    """Inverse of `pack_bits`: `count` integers of `width` bits, uint8, uint16 or uint32.

    Raises TruncatedPayload or OversizedPayload when `data` has another length than they need, and
    CorruptPayload when the filling bits are not zero.
    """
    need = packed_bytes(count, width)
    if len(data) < need:
        raise TruncatedPayload(f"{len(data)} bytes where {need} are needed")
    if len(data) > need:
        raise OversizedPayload(f"{len(data)} bytes where {need} are needed")
    kind = np.dtype(f"u{1 if width <= 8 else 2 if width <= 16 else 4}")
    if width in (8, 16, 32):
        return np.frombuffer(data, dtype=f"<u{width // 8}").astype(kind)
    raw = np.frombuffer(data, dtype=np.uint8)
    values = np.unpackbits(raw, bitorder="little") if width == 1 else _ungroup(raw, width, kind)
    if values[count:].any():
        raise CorruptPayload("the filling bits of a packed section are not zero")
    return values[:count]


def _ungroup(raw: npt.NDArray[np.uint8], width: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The values in `raw`, and zeros or stray bits up to a multiple of eight values."""
    packed = np.zeros((-(-len(raw) // width), width), dtype=kind)
    packed.ravel()[: len(raw)] = raw
    groups = np.zeros((len(packed), 8), dtype=kind)
    for value, byte, shift in _overlaps(width):
        column = packed[:, byte]
        groups[:, value] |= column >> shift if shift > 0 else column << -shift
    groups &= kind.type((1 << width) - 1)
    return groups.ravel()


def _overlaps(width: int) -> list[tuple[int, int, int]]:
    """(value, byte, shift): where eight values lie in their `width` bytes.

    The byte holds the value shifted left by `shift` (right where it is negative).
    """
    return [
        (value, byte, width * value - 8 * byte)
        for value in range(8)
        for byte in range(width * value // 8, (width * value + width - 1) // 8 + 1)
    ]


def packed_bytes(count: int, width: int) -> int:
    """⌈count·width / 8⌉."""
    return -(-count * width // 8)


def index_width(d: int) -> int:
    """⌈log₂ d⌉, at least 1: bits of an index into d elements."""
    return max(1, (d - 1).bit_length())
