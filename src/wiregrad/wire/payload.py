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

import torch

from wiregrad.wire.errors import CorruptPayload, OversizedPayload, TruncatedPayload, UnknownVersion

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


def encode_varint(value: int) -> bytes:
    """`value` as unsigned LEB128, in `varint_length(value)` bytes."""
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
    table = b"".join(
        encode_varint(b.numel) + b"".join(encode_varint(p) for p in b.params) for b in blocks
    )
    return head + encode_varint(len(blocks)) + table + encode_varint(len(payload.body))


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
