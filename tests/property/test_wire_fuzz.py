"""Whatever bytes arrive: a finite vector of the expected length, or a PayloadError."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest
import torch
import vectors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wiregrad import wire
from wiregrad.compressors import Blocked, decode

CASES = vectors.every_compressor()


def receive(data: bytes, numel: int | None) -> None:
    """Decode as a receiver that expects `numel` elements would."""
    try:
        payload = wire.Payload.from_bytes(data, numel=numel)
        if payload.codec == wire.EMPTY:
            return
        x = decode(payload)
    except wire.PayloadError:
        return
    assert x.shape == (payload.numel,)
    assert numel is None or payload.numel == numel
    assert torch.isfinite(x).all()
    assert payload.to_bytes() == data


def valid(case: Any, d: int, dtype: torch.dtype) -> bytes:
    x = vectors.make("normal", 1, d, dtype)[0]
    shapes = ((d // 3,), (d - d // 3,))
    blocked = Blocked(vectors.build(case), shapes)
    return blocked.compress(x, vectors.generators(1)[0]).to_bytes()


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    kinds = st.sampled_from(["flip", "set", "cut", "insert", "append", "drop"])
    place = st.one_of(st.integers(0, 24), st.integers(0, 4000))
    return draw(st.lists(st.tuples(kinds, place, st.integers(0, 255)), min_size=1, max_size=3))


def mutate(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    out = bytearray(data)
    for kind, place, value in changes:
        at = place % (len(out) + 1)
        if kind == "cut":
            del out[at:]
        elif kind == "append":
            out += bytes([value]) * (1 + place % 9)
        elif kind == "insert":
            out.insert(at, value)
        elif at < len(out):
            if kind == "drop":
                del out[at]
            else:
                out[at] = out[at] ^ (1 << value % 8) if kind == "flip" else value
    return bytes(out)


@pytest.mark.parametrize("case", CASES, ids=vectors.label)
@settings(max_examples=30)
@given(
    d=st.sampled_from([0, 1, 7, 40]),
    dtype=st.sampled_from(vectors.DTYPES),
    changes=mutations(),
    known=st.booleans(),
)
def test_a_mutated_payload_is_read_or_refused(
    case: Any, d: int, dtype: torch.dtype, changes: list[tuple[str, int, int]], *, known: bool
) -> None:
    receive(mutate(valid(case, d, dtype), changes), d if known else None)


@pytest.mark.parametrize("case", CASES, ids=vectors.label)
def test_every_truncation_and_extension_is_refused(case: Any) -> None:
    data = valid(case, 7, torch.float32)
    for length in range(len(data)):
        with pytest.raises(wire.PayloadError):
            decode(wire.Payload.from_bytes(data[:length]))
    for tail in (b"\0", b"WG", data):
        with pytest.raises(wire.OversizedPayload):
            wire.Payload.from_bytes(data + tail)


@given(data=st.binary(max_size=60))
@example(data=b"")
@example(data=b"WG\1\2\1\1")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    receive(data, 5)
    receive(data, None)
    receive(b"WG\1" + data, None)


HOSTILE = textwrap.dedent(
    """
    import resource, sys
    from wiregrad import wire
    from wiregrad.compressors import decode, registry

    def header(codec, blocks, body_length, params):
        varint = wire.encode_varint
        table = b"".join(varint(n) + b"".join(map(varint, params)) for n in blocks)
        head = bytes((wire.VERSION, codec, 2)) + varint(len(blocks)) + table
        return wire.MAGIC + head + varint(body_length)

    big = wire.MAX_ELEMENTS
    messages = []
    for name in registry:
        codec, n = registry[name].codec, registry[name].n_params
        for params in ((0,) * n, (1,) * n, (big,) * n, (1, 0)[:n], (big, 32)[:n], (0, 32)[:n]):
            for blocks in ([big], [big] * 50, [7] * 50, [wire.element_limit(10**6) + 1]):
                for claimed in (0, 3, big, wire.MAX_BODY):
                    messages.append(header(codec, blocks, claimed, params) + b"abc")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for data in messages:
        for numel in (None, 9):
            try:
                decode(wire.Payload.from_bytes(data, numel))
            except wire.PayloadError:
                refused += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(refused == 2 * len(messages), grown < 16 * 1024)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="measures peak memory with getrusage")
def test_a_header_that_announces_the_moon_costs_nothing() -> None:
    command = [sys.executable, "-c", HOSTILE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
