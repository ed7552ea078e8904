"""Symbols of up to nine bits, eight of them in as many bytes as a symbol has bits."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def packed_bytes(d, WIDTH: tl.constexpr):
    """⌈d·WIDTH/8⌉, where the product may leave the range of 32 bits."""
    return d // 8 * WIDTH + (d % 8 * WIDTH + 7) // 8


@triton.jit
def pack(symbols, to, group, lane, d, WIDTH: tl.constexpr):
    """Store `symbols` `[G, 8]` of a row of d elements; those behind its end must be 0."""
    length = packed_bytes(d, WIDTH)
    held = tl.sum(symbols.to(tl.int64) << (lane * WIDTH), axis=1)
    at = group * WIDTH + lane
    byte = ((held[:, None] >> (lane * 8)) & 0xFF).to(tl.uint8)
    tl.store(to + at, byte, mask=(lane < WIDTH) & (at < length))
    if WIDTH > 8:
        ninth = tl.sum(tl.where(lane == 7, symbols >> 1, 0), axis=1)[:, None].to(tl.uint8)
        last = group * WIDTH + 8
        tl.store(to + last, ninth, mask=last < length)


@triton.jit
def unpack(packed, j, d, inside, WIDTH: tl.constexpr):
    """The symbols of the elements `j` of a row of d elements, int32."""
    bit = j.to(tl.int64) * WIDTH
    at = bit // 8
    low = tl.load(packed + at, mask=inside, other=0).to(tl.int32)
    rest = inside & (at + 1 < packed_bytes(d, WIDTH))
    high = tl.load(packed + at + 1, mask=rest, other=0).to(tl.int32)
    return ((low | (high << 8)) >> (bit % 8).to(tl.int32)) & ((1 << WIDTH) - 1)
