"""The wire format: payloads as bytes, and the packing of bits."""

from wiregrad.wire.errors import (
    CorruptPayload,
    OversizedPayload,
    PayloadError,
    TruncatedPayload,
    UnknownVersion,
)
from wiregrad.wire.packing import index_width, pack_bits, packed_bytes, unpack_bits
from wiregrad.wire.payload import (
    CODECS,
    DTYPE_CODES,
    DTYPES,
    EMPTY,
    MAGIC,
    MAX_BLOCKS,
    MAX_BODY,
    MAX_ELEMENTS,
    VERSION,
    Block,
    Payload,
    element_limit,
    encode_varint,
    header_bytes,
    varint_length,
)

__all__ = [
    "CODECS",
    "DTYPES",
    "DTYPE_CODES",
    "EMPTY",
    "MAGIC",
    "MAX_BLOCKS",
    "MAX_BODY",
    "MAX_ELEMENTS",
    "VERSION",
    "Block",
    "CorruptPayload",
    "OversizedPayload",
    "Payload",
    "PayloadError",
    "TruncatedPayload",
    "UnknownVersion",
    "element_limit",
    "encode_varint",
    "header_bytes",
    "index_width",
    "pack_bits",
    "packed_bytes",
    "unpack_bits",
    "varint_length",
]
