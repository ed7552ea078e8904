"""The wire format: its bytes are fixed, and what is wrong with others has a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wiregrad import wire
from wiregrad.compressors import Blocked, decode, registry
from wiregrad.wire import Payload

X = [1.5, -0.25, 0.0, 3.0, -2.0, 0.125, -0.0, 1.0, -4.0]
"""What the golden payloads were made from, in float32."""

MEAN = 1.3194444179534912
HEAD = "574701"  # magic, version

# name, settings, bytes after magic and version: codec, dtype, blocks, table, body length, body
GOLDEN: list[tuple[str, dict[str, Any], str, list[float]]] = [
    (
        "identity",
        {},
        "01 01 01 09 24 0000c03f000080be00000000 00004040000000c00000003e 000000800000803f000080c0",
        X,
    ),
    (
        "top_k",
        {"k": 3},
        "02 01 01 09 03 04 0e 4308 00004040 000000c0 000080c0",
        [0, 0, 0, 3, -2, 0, 0, 0, -4],
    ),
    (
        "top_k",
        {"ratio": 0.3, "index_bits": 32},
        "02 01 01 09 02 20 10 03000000 08000000 00004040 000080c0",
        [0, 0, 0, 3, 0, 0, 0, 0, -4],
    ),
    (
        "top_k",
        {"ratio": 0.2, "select": "quantile"},
        "02 01 01 09 02 04 09 83 00004040 000080c0",
        [0, 0, 0, 3, 0, 0, 0, 0, -4],
    ),
    (
        "rand_k",
        {"k": 3},
        "03 01 01 09 03 04 0e 2008 0000c03f 00000000 000080c0",
        [1.5, 0, 0, 0, 0, 0, 0, 0, -4],
    ),
    (
        "scaled_sign",
        {},
        "04 01 01 09 06 8ee3a83f 1201",
        [MEAN * s for s in (1, -1, 1, 1, -1, 1, 1, 1, -1)],
    ),
    (
        "block_sign",
        {"block_size": 5},
        "05 01 01 09 05 0a cdccac3f 0000a43f 1201",
        [1.350000023841858 * s for s in (1, -1, 1, 1, -1)] + [1.28125 * s for s in (1, 1, 1, -1)],
    ),
    (
        "qsgd",
        {"levels": 4},
        "06 01 01 09 04 09 00000041 45 64 43 54 01",
        [2, 0, 0, 4, -2, 0, 0, 2, -6],
    ),
    (
        "ternary",
        {"coding": "dense"},
        "07 01 01 09 00 00 07 00008040 41 80 02",
        [4, 0, 0, 4, 0, 0, 0, -4, -4],
    ),
    (
        "ternary",
        {"coding": "sparse"},
        "07 01 01 09 04 03 07 00008040 3008 04",
        [4, 0, 0, 4, 0, 0, 0, 0, -4],
    ),
    (
        "sparsifier",
        {"ratio": 0.25},
        "08 01 01 09 02 04 09 83 00004041 000080c1",
        [0, 0, 0, 12, 0, 0, 0, 0, -16],
    ),
    (
        "log_quantiser",
        {"bits": 3},
        "09 01 01 09 03 08 00008040 dd9c8d00",
        [2, 0, 0, 4, -2, 0, 0, 1, -4],
    ),
    (
        "natural",
        {},
        "0a 01 01 09 0b 80fa020004980fc03f8101",
        [2, -0.25, 0, 2, -2, 0.125, -0.0, 1, -4],
    ),
    ("fp16", {}, "0b 01 01 09 01 14 f4ff 006e 00e4 0000 0072 00f0 0060 0080 006c 00f4", X),
    (
        "bf16",
        {"scaled": False},
        "0c 01 01 09 00 12 c03f 80be 0000 4040 00c0 003e 0080 803f 80c0",
        X,
    ),
    (
        "powersgd",
        {"rank": 1},
        "0d 01 01 09 01 03 18 0000803f 00000040 000040c0 0000003f 000080bf 00000000",
        [0.5, -1, 0, 1, -2, 0, -1.5, 3, 0],
    ),
]


def golden_bytes(tail: str) -> bytes:
    return bytes.fromhex(HEAD + tail.replace(" ", ""))


@pytest.mark.parametrize(("name", "settings", "tail", "x"), GOLDEN)
def test_golden_bytes_are_read(name: str, settings: Any, tail: str, x: list[float]) -> None:
    payload = Payload.from_bytes(golden_bytes(tail), numel=len(x))
    assert registry[name].codec == payload.codec
    decoded = decode(payload)
    assert decoded.dtype == torch.float32
    assert decoded.tolist() == x
    assert payload.to_bytes() == golden_bytes(tail)


@pytest.mark.parametrize(
    ("name", "settings", "tail", "x"), [g for g in GOLDEN if not registry[g[0]].random]
)
def test_golden_bytes_are_written(name: str, settings: Any, tail: str, x: list[float]) -> None:
    payload = registry.build({"name": name, **settings}).compress(torch.tensor(X))
    assert payload.to_bytes().hex() == golden_bytes(tail).hex()


def test_every_codec_of_the_package_has_golden_bytes() -> None:
    own = {n for n in registry if registry[n].__module__.startswith("wiregrad.compressors.")}
    assert own == {name for name, *_ in GOLDEN}


def test_blocks_and_float_types_in_the_header() -> None:
    sign = registry.build("scaled_sign")
    x = torch.tensor([1.0, -1.0, 3.0], dtype=torch.float64)
    payload = Blocked(sign, ((2,), (0,), (1,))).compress(x)
    assert payload.to_bytes().hex() == ("57470104020302000112000000000000f03f02000000000000084000")
    assert decode(Payload.from_bytes(payload.to_bytes())).tolist() == x.tolist()


def test_an_empty_payload_is_one_header() -> None:
    for code, dtype in wire.DTYPES.items():
        payload = Payload.empty(dtype)
        assert payload.to_bytes() == b"WG\x01\x00" + bytes([code])
        assert Payload.from_bytes(payload.to_bytes(), numel=12) == payload
        assert payload.wire_bits == 40
    with pytest.raises(wire.PayloadError, match="no vector"):
        decode(payload)
    with pytest.raises(wire.OversizedPayload, match="follow an empty"):
        Payload.from_bytes(payload.to_bytes() + b"\0")


# -- errors -----------------------------------------------------------------------------------

INF, NAN, MINUS = "0000807f", "0000c07f", "000080bf"
MALFORMED = [
    ("", wire.TruncatedPayload, "ends inside its magic"),
    ("5847 01 01 01", wire.CorruptPayload, "magic bytes 'WG'"),
    ("5747 02 01 01 00 00", wire.UnknownVersion, "version 2, allowed: 1"),
    ("5747 01 c8 01 00 00", wire.UnknownVersion, "codec 200, allowed"),
    ("5747 01 01 09 00 00", wire.UnknownVersion, "float type 9"),
    ("5747 01 01 01 ff", wire.TruncatedPayload, "number of blocks"),
    ("5747 01 01 01 8000 00", wire.CorruptPayload, "not the shortest varint"),
    ("5747 01 01 01" + "ff" * 10, wire.CorruptPayload, "varint of more than 10 bytes"),
    ("5747 01 01 01 ffffff7f", wire.OversizedPayload, "number of blocks"),
    ("5747 01 01 01 05 01", wire.TruncatedPayload, "block table"),
    ("5747 01 01 01 01 ffffffff7f 00", wire.OversizedPayload, "block length"),
    ("5747 01 01 01 01 8080808004 00", wire.OversizedPayload, "bytes announce 1073741824"),
    ("5747 01 01 01 01 01 04 0000", wire.TruncatedPayload, "ends inside its body"),
    ("5747 01 01 01 01 01 04 00000000 00", wire.OversizedPayload, "1 bytes follow"),
    ("5747 01 01 01 01 02 04 00000000", wire.TruncatedPayload, "body of 4 bytes, expected 8"),
    ("5747 01 01 01 01 01 08 0000000000000000", wire.OversizedPayload, "8 bytes, expected 4"),
    ("5747 01 01 01 01 01 04" + INF, wire.CorruptPayload, "NaN or Inf"),
    ("5747 01 01 01 01 01 04" + NAN, wire.CorruptPayload, "NaN or Inf"),
    # top_k: k, index bits
    ("5747 01 02 01 01 03 04 02 11 e4" + "00" * 16, wire.CorruptPayload, "4 indices into 3"),
    ("5747 01 02 01 01 03 01 03 05 00 00000000", wire.CorruptPayload, "of 3 bits"),
    ("5747 01 02 01 01 03 01 02 05 03 00000000", wire.CorruptPayload, "out of range: 3 of 3"),
    ("5747 01 02 01 01 03 02 02 09 05" + "00" * 8, wire.CorruptPayload, "do not increase"),
    ("5747 01 02 01 01 03 01 02 05 f1 00000000", wire.CorruptPayload, "filling bits"),
    # scales
    ("5747 01 04 01 01 01 05" + NAN + "00", wire.CorruptPayload, "NaN or Inf"),
    ("5747 01 04 01 01 01 05" + MINUS + "00", wire.CorruptPayload, "scale is negative"),
    ("5747 01 04 01 01 01 05 0000803f 02", wire.CorruptPayload, "filling bits"),
    # parameters of the families
    ("5747 01 05 01 01 03 00 05 0000803f 00", wire.CorruptPayload, "block size 0"),
    ("5747 01 05 01 01 03 04 05 0000803f 00", wire.CorruptPayload, "block size 4"),
    ("5747 01 06 01 01 02 00 05 0000803f 00", wire.CorruptPayload, "parameter 0"),
    ("5747 01 06 01 01 02 02 05 0000803f 3f", wire.CorruptPayload, "symbol 7, allowed: 0 to 4"),
    ("5747 01 07 01 01 02 00 01 05 0000803f 00", wire.CorruptPayload, "number of nonzeros"),
    ("5747 01 07 01 01 02 00 00 05 0000803f 0f", wire.CorruptPayload, "symbol 3"),
    ("5747 01 09 01 01 02 01 05 0000803f 00", wire.CorruptPayload, "parameter 1"),
    ("5747 01 09 01 01 01 03 05 0000803f 07", wire.CorruptPayload, "symbol 7"),
    ("5747 01 0a 01 01 01 02 ff00", wire.CorruptPayload, "decodes to NaN or Inf"),
    ("5747 01 0b 01 01 01 02 04 00000000", wire.CorruptPayload, "scaled is 2"),
    ("5747 01 0b 01 01 01 01 04 ff7f003c", wire.CorruptPayload, "power 32767"),
    ("5747 01 0d 01 01 09 01 00 04 00000000", wire.CorruptPayload, "rank 1 with 0 rows"),
    ("5747 01 0d 01 01 09 02 03 30" + "00" * 48, wire.CorruptPayload, "rank 2 with 3 rows"),
    ("5747 01 0d 01 01 09 00 01 24" + "00" * 36, wire.CorruptPayload, "rank 0 with 1 rows"),
    ("5747 01 02 01 01 00 01 01 00", wire.CorruptPayload, "empty block with parameters"),
    # scales that overflow what they multiply
    ("5747 01 04 04 01 01 05 ffff7f7f 00", wire.CorruptPayload, "decodes to NaN or Inf"),
]


@pytest.mark.parametrize(("data", "error", "message"), MALFORMED)
def test_malformed_payloads_have_named_errors(data: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        decode(Payload.from_bytes(bytes.fromhex(data.replace(" ", ""))))


def test_a_receiver_that_knows_d_takes_nothing_else() -> None:
    data = registry.build("identity").compress(torch.ones(3)).to_bytes()
    assert Payload.from_bytes(data, numel=3).numel == 3
    with pytest.raises(wire.CorruptPayload, match="3 elements where 4 are expected"):
        Payload.from_bytes(data, numel=4)


def test_a_body_changed_after_parsing_is_refused() -> None:
    payload = registry.build("identity").compress(torch.ones(3))
    with pytest.raises(wire.OversizedPayload):
        decode(replace(payload, body=payload.body + b"\0"))


# -- packing ----------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 32), st.integers(0, 70))
def test_bits_are_packed_as_one_long_number(data: st.DataObject, width: int, count: int) -> None:
    numbers = st.lists(st.integers(0, (1 << width) - 1), min_size=count, max_size=count)
    values = data.draw(numbers)
    packed = wire.pack_bits(np.array(values, dtype=np.int64), width)
    long = sum(value << (width * i) for i, value in enumerate(values))
    assert packed == long.to_bytes(wire.packed_bytes(count, width), "little")
    assert wire.unpack_bits(packed, count, width).tolist() == values
    with pytest.raises(wire.OversizedPayload):
        wire.unpack_bits(packed + b"\0", count, width)
    if packed:
        with pytest.raises(wire.TruncatedPayload):
            wire.unpack_bits(packed[:-1], count, width)
    if count * width % 8:
        with pytest.raises(wire.CorruptPayload, match="filling bits"):
            wire.unpack_bits(packed[:-1] + bytes([packed[-1] | 0x80]), count, width)


@pytest.mark.parametrize(("d", "width"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 20, 20)])
def test_index_width(d: int, width: int) -> None:
    assert wire.index_width(d) == width


@given(st.integers(0, 1 << 63))
def test_varints_have_the_length_they_are_said_to_have(value: int) -> None:
    assert len(wire.encode_varint(value)) == wire.varint_length(value)
