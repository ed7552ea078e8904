"""The wire format: payload framing and bit packing.

A payload is self-describing: another process decodes it from its bytes alone. Layout, integers
little-endian, `varint` = unsigned LEB128:

====================  ==========================================================================
magic ``WG``          2 bytes
version               1 byte
codec                 1 byte, the compressor family (0: empty, nothing follows the dtype)
dtype                 1 byte: low half the float type that decoding yields, high half the tag
number of blocks      varint
block table           per block: varint length, then the codec's parameters, a varint each
body length           varint, bytes
body                  the blocks' bodies one after the other; each is a whole number of bytes
====================  ==========================================================================

Parsing checks every length before anything is allocated, and a payload may announce at most
`element_limit(len(data))` elements unless the receiver says how many it expects: malformed bytes
end in a `PayloadError`, never in a crash or a huge allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wiregrad.errors import WiregradError

MAGIC = b"WG"
VERSION = 1
EMPTY = 0
MAX_ELEMENTS = 1 << 31
MAX_BLOCKS = 1 << 20
MAX_BODY = 1 << 40

DTYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.float64,
    3: torch.bfloat16,
    4: torch.float16,
}
CODECS: dict[int, int] = {}
"""Parameters per block of each codec; compressor families enter themselves."""

DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}


class PayloadError(WiregradError):
    """Bytes that are no valid payload."""


class TruncatedPayload(PayloadError):
    """Fewer bytes than the header announces."""


class OversizedPayload(PayloadError):
    """More bytes than the header announces, or a header that announces an absurd size."""


class UnknownVersion(PayloadError):
    """A wire-format version, codec or float type that this release does not know."""


class CorruptPayload(PayloadError):
    """A body that its codec cannot have written: index out of range, NaN scale, stray bits."""


@dataclass(frozen=True)
class Block:
    """One block of a payload: its length in elements and its codec's parameters."""

    numel: int
    params: tuple[int, ...] = ()


@dataclass(frozen=True)
class Payload:
    """The message for one vector `[d]`: what crosses the wire.

    An empty payload (codec 0, no blocks) says "nothing new from me" and costs one header.
    """

    codec: int
    dtype: torch.dtype
    blocks: tuple[Block, ...]
    body: bytes
    tag: int = 0
    """0 to 15: a mark of the method, by which a receiver tells two kinds of messages apart."""

    @property
    def numel(self) -> int:
        """d, the number of elements that decoding yields."""
        return sum(block.numel for block in self.blocks)

    @property
    def body_bits(self) -> int:
        """Bits of the body; a compressor's `body_bits` states the same number in closed form."""
        return 8 * len(self.body)

    @property
    def wire_bits(self) -> int:
        """Bits of `to_bytes()`, header included."""
        return 8 * (header_bytes(self.codec, self.blocks, len(self.body)) + len(self.body))

    def to_bytes(self) -> bytes:
        """The bytes that cross the wire."""
        return _header(self) + self.body

    @staticmethod
    def from_bytes(data: bytes | bytearray | memoryview, numel: int | None = None) -> Payload:
        """Parse one payload; `data` must hold it and nothing more.

        A receiver that knows d passes it as `numel`: any other size but empty is then refused.
        Raises a subclass of PayloadError. The body's content is checked when it is decoded.
        """
        reader = _Reader(bytes(data))
        payload = _parse(reader, numel)
        if reader.at != len(reader.data):
            left = len(reader.data) - reader.at
            what = "an empty payload" if payload.codec == EMPTY else "the payload"
            raise OversizedPayload(f"{left} bytes follow {what}")
        return payload

    @staticmethod
    def sequence(data: bytes | bytearray | memoryview, numel: int | None = None) -> list[Payload]:
        """Parse the parts of a message, one payload after the other, at least one.

        As `from_bytes` in all else.
        """
        reader = _Reader(bytes(data))
        parts = [_parse(reader, numel)]
        while reader.at != len(reader.data):
            parts.append(_parse(reader, numel))
        return parts

    @staticmethod
    def empty(dtype: torch.dtype) -> Payload:
        """A skipped message: one header."""
        return Payload(EMPTY, dtype, (), b"")


def element_limit(length: int) -> int:
    """Most elements that a payload of `length` bytes may announce to a receiver without a d."""
    return min(MAX_ELEMENTS, (1 << 24) + 8192 * length)


def header_bytes(codec: int, blocks: tuple[Block, ...], body_length: int) -> int:
    """Length of the header in bytes."""
    if codec == EMPTY:
        return 5
    table = sum(varint_length(b.numel) + sum(varint_length(p) for p in b.params) for b in blocks)
    return 5 + varint_length(len(blocks)) + table + varint_length(body_length)


def varint_length(value: int) -> int:
    """Bytes of `value` as unsigned LEB128."""
    return max(1, -(-value.bit_length() // 7))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _header(payload: Payload) -> bytes:
    kind = DTYPE_CODES[payload.dtype] | payload.tag << 4
    head = MAGIC + bytes((VERSION, payload.codec, kind))
    if payload.codec == EMPTY:
        return head
    blocks = payload.blocks
    table = b"".join(_varint(b.numel) + b"".join(_varint(p) for p in b.params) for b in blocks)
    return head + _varint(len(blocks)) + table + _varint(len(payload.body))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, what: str) -> bytes:
        if self.at + count > len(self.data):
            raise TruncatedPayload(f"payload ends inside its {what}")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def varint(self, what: str, limit: int) -> int:
        value = 0
        for position in range(10):
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << (7 * position)
            if not byte & 0x80:
                if position and not byte:
                    raise CorruptPayload(f"{what}: not the shortest varint")
                if value > limit:
                    raise OversizedPayload(f"{what} is {value}, allowed: at most {limit}")
                return value
        raise CorruptPayload(f"{what}: varint of more than 10 bytes")


def _parse(reader: _Reader, numel: int | None) -> Payload:
    """The payload that begins where the reader is."""
    length = len(reader.data)
    if reader.take(2, "magic") != MAGIC:
        raise CorruptPayload("payload does not begin with the magic bytes 'WG'")
    version, codec, kind = reader.take(3, "header")
    tag, dtype_code = divmod(kind, 16)
    if version != VERSION:
        raise UnknownVersion(f"wire format version {version}, allowed: {VERSION}")
    if dtype_code not in DTYPES:
        raise UnknownVersion(f"float type {dtype_code}, allowed: {sorted(DTYPES)}")
    if codec == EMPTY:
        if tag:
            raise CorruptPayload("an empty payload with a tag")
        return Payload.empty(DTYPES[dtype_code])
    if codec not in CODECS:
        raise UnknownVersion(f"codec {codec}, allowed: {sorted(CODECS)}")
    blocks = _block_table(reader, CODECS[codec])
    total = sum(block.numel for block in blocks)
    if numel is not None and total != numel:
        raise CorruptPayload(f"payload of {total} elements where {numel} are expected")
    if numel is None and total > element_limit(length):
        raise OversizedPayload(f"{length} bytes announce {total} elements")
    body = reader.take(reader.varint("body length", MAX_BODY), "body")
    return Payload(codec, DTYPES[dtype_code], blocks, body, tag)


def _block_table(reader: _Reader, n_params: int) -> tuple[Block, ...]:
    count = reader.varint("number of blocks", MAX_BLOCKS)
    if count * (1 + n_params) > len(reader.data) - reader.at:
        raise TruncatedPayload("payload ends inside its block table")
    return tuple(
        Block(
            reader.varint("block length", MAX_ELEMENTS),
            tuple(reader.varint("block parameter", MAX_ELEMENTS) for _ in range(n_params)),
        )
        for _ in range(count)
    )


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
