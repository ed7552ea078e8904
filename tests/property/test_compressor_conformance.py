"""Every registered compressor keeps its word; a new family is tested without a new test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from threads import torch_threads

from wiregrad import wire
from wiregrad.compressors import Blocked, Compressor, Contract, Roundtrip, decode
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import Layout

CASES = vectors.every_compressor()
RANDOM = [case for case in CASES if vectors.build(case).random]
FIXED = [case for case in CASES if case not in RANDOM]
every_compressor = pytest.mark.parametrize("case", CASES, ids=vectors.label)


@pytest.fixture
def compressor(case: Any) -> Compressor:
    return vectors.build(case)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def over_the_wire(blocked: Blocked, x: torch.Tensor, seed: int) -> list[wire.Payload]:
    return blocked.compress_rows(x, vectors.generators(len(x), seed))


def check_paths(blocked: Blocked, x: torch.Tensor, seed: int) -> None:
    """Bytes, fused batch and fused single rows agree to the bit, and in what they cost."""
    try:
        payloads = over_the_wire(blocked, x, seed)
    except NonFiniteError:
        with pytest.raises(NonFiniteError):
            blocked.roundtrip(x, generators=vectors.generators(len(x), seed))
        target = getattr(blocked.inner, "half", x.dtype)
        end = min(torch.finfo(x.dtype).max, torch.finfo(target).max)
        assert float(x.abs().max()) > end / (16 * math.sqrt(x.shape[-1]))
        return
    trip = blocked.roundtrip(x, generators=vectors.generators(len(x), seed))
    assert torch.isfinite(trip.decoded).all()
    for i, payload in enumerate(payloads):
        data = payload.to_bytes()
        received = wire.Payload.from_bytes(data, numel=x.shape[-1])
        assert received == payload
        assert same_bits(decode(received), trip.decoded[i])
        assert trip.params[i] == tuple(block.params for block in payload.blocks)
        assert trip.body_bits[i] == payload.body_bits == 8 * len(payload.body)
        assert trip.wire_bits[i] == payload.wire_bits == 8 * len(data)
        alone = blocked.roundtrip(x[i], generators=vectors.generators(len(x), seed)[i : i + 1])
        assert same_bits(alone.decoded, trip.decoded[i])
        assert alone.wire_bits == [trip.wire_bits[i]]
    kept = x.clone()
    assert (
        blocked.roundtrip(kept, out=kept, generators=vectors.generators(len(x), seed)).decoded
        is kept
    )
    assert same_bits(kept, trip.decoded)


@every_compressor
@given(x=vectors.rows(), seed=st.integers(0, 9))
def test_all_paths_agree(case: Any, x: torch.Tensor, seed: int) -> None:
    check_paths(Blocked(vectors.build(case), ((x.shape[-1],),)), x, seed)


LAYOUT = Layout(
    ("a.weight", "a.bias", "b.weight", "nothing", "c.weight"),
    ((6, 5), (6,), (3, 2, 2), (0,), (1,)),
)


@every_compressor
@pytest.mark.parametrize("kind", ["per_tensor", "per_layer", "whole", "auto"])
def test_blocks_are_compressed_one_by_one(compressor: Compressor, kind: Any) -> None:
    x = vectors.make("normal", 3, LAYOUT.numel, torch.float32)
    blocked = compressor.blocked(LAYOUT, kind)
    check_paths(blocked, x, seed=1)
    drawing = vectors.generators(3, seed=1)
    sizes = [math.prod(shape) for shape in blocked.shapes]
    pieces = [
        Blocked(compressor, (shape,)).roundtrip(piece, generators=drawing)
        for shape, piece in zip(blocked.shapes, torch.split(x, sizes, dim=-1), strict=True)
    ]
    whole = blocked.roundtrip(x, generators=vectors.generators(3, seed=1))
    assert same_bits(torch.cat([p.decoded for p in pieces], dim=-1), whole.decoded)
    assert whole.body_bits == [
        sum(bits) for bits in zip(*(p.body_bits for p in pieces), strict=True)
    ]


def test_the_contract_of_blocks_is_the_worst_of_them() -> None:
    sign = vectors.build(("scaled_sign", {}))
    assert sign.blocked(LAYOUT, "per_layer").contract() == Contract("contractive", 1 / 36)
    unit = vectors.build(("scaled_sign", {"norm": "l2"}))
    assert unit.blocked(Layout.flat(2)).contract().kind == "contractive"
    assert Blocked(unit, ((2,), (9,))).contract() == Contract("biased", 2 - 2 / 3)
    assert Blocked(sign, ()).contract() == Contract("contractive", 1.0)


@every_compressor
def test_rows_that_need_no_encoding_decode_to_the_same_bits(compressor: Compressor) -> None:
    """`decode_rows`, the fast path of batched sweeps: only for messages of one price."""
    x = vectors.make("normal", 5, 40, torch.float64)
    x[3] = x[2].sign()  # ties
    decoded = compressor.decode_rows(x)
    if decoded is not None:
        trip = compressor.roundtrip(x)
        assert not compressor.random
        assert same_bits(decoded, trip.decoded)
        assert len(set(trip.wire_bits)) == 1


@every_compressor
def test_content_counts_no_more_than_there_is(compressor: Compressor) -> None:
    x = vectors.make("normal", 2, 40, torch.float32)
    blocked = compressor.blocked(Layout.flat(40), "whole")
    encoded = blocked.encode(x, vectors.generators(2))
    for (params,), (body_bits, _) in zip(encoded.params, encoded.costs(), strict=True):
        content = compressor.content((40,), params)
        assert content.numel == 40
        if not content.other:
            indices = content.indices * content.index_bits
            bits = content.signs + content.mask + content.symbols * content.symbol_bits
            assert 32 * (content.values + content.scales) + indices + bits <= body_bits


# -- the stated constants ---------------------------------------------------------------------


def relative_errors(x: torch.Tensor, trip: Roundtrip) -> torch.Tensor:
    """‖C(x) − x‖ of each row in units of ‖x‖, for rows that are not zero; float64."""
    unit = x.double().abs().amax(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    row = x.double() / unit
    error = (trip.decoded.double() / unit - row).norm(dim=-1)
    return error / row.norm(dim=-1)


def slack(x: torch.Tensor) -> torch.Tensor:
    """What rounding and denormal numbers may add to the relative error."""
    info = torch.finfo(x.dtype)
    size = x.double().abs().amax(-1).clamp_min(info.tiny)
    lost = math.sqrt(x.shape[-1]) * info.smallest_normal / size
    return 8 * info.eps + lost


@pytest.mark.parametrize("case", FIXED, ids=vectors.label)
@settings(max_examples=40)
@given(x=vectors.rows(sizes=(1, 2, 3, 4, 5, 8, 33, 65)))
def test_without_draws_the_error_bound_holds_for_every_vector(case: Any, x: torch.Tensor) -> None:
    compressor = vectors.build(case)
    x = x[x.any(dim=-1)]
    if not len(x):
        return
    try:
        trip = compressor.roundtrip(x)
    except NonFiniteError:
        return  # where that is allowed is part of test_all_paths_agree
    contract = compressor.contract((x.shape[-1],))
    assert contract.kind != "unbiased"
    assert bool((relative_errors(x, trip) <= math.sqrt(contract.error) + slack(x)).all())


DRAWS = 1000


def in_expectation(x: torch.Tensor, trip: Roundtrip, contract: Contract) -> None:
    """One-sided tests over independent draws, with fixed seeds.

    Second moment: six standard errors above the bound. Mean: for independent unbiased draws
    E‖mean − x‖² ≤ ω‖x‖²/m, so by Markov's inequality alone a tenfold excess has at most a chance
    of one in ten, and of far less where the coordinates' errors add up.
    """
    size = float(x.double().square().sum())
    error = (trip.decoded.double() - x.double()).square().sum(-1)
    if contract.kind == "unbiased":
        off = trip.decoded.double().mean(0) - x.double()
        allowed = 10 * contract.error * size / DRAWS
        rounding = (torch.finfo(x.dtype).eps * contract.constant) ** 2 * size
        assert float(off.square().sum()) <= allowed + rounding
    standard_error = float(error.std()) / math.sqrt(DRAWS)
    rounding = 32 * torch.finfo(x.dtype).eps * contract.constant
    assert float(error.mean()) <= (contract.error + rounding) * size + 6 * standard_error


@pytest.mark.parametrize("case", RANDOM, ids=vectors.label)
@pytest.mark.parametrize(("kind", "d"), [("normal", 50), ("one_hot", 16), ("heavy", 30)])
def test_with_draws_the_constants_hold_in_expectation(
    compressor: Compressor, kind: str, d: int
) -> None:
    x = vectors.make(kind, 1, d, torch.float32)[0]
    drawing = [torch.Generator().manual_seed(11)] * DRAWS
    trip = compressor.roundtrip(x.expand(DRAWS, -1), generators=drawing)
    in_expectation(x, trip, compressor.contract((d,)))


ATTAINED = [
    ("top_k", {"k": 3}, [1.0] * 12),
    ("scaled_sign", {"norm": "l1"}, [0.0] * 8 + [-2.0]),
    ("scaled_sign", {"norm": "l2"}, [0.0, 3.0]),
    ("scaled_sign", {"norm": "l2"}, [0.0] * 24 + [1.0]),
    ("block_sign", {"block_size": 4}, [1.0, 0.0, 0.0, 0.0]),
    ("log_quantiser", {"bits": 2}, [1.0] + [0.5] * 6),
    ("log_quantiser", {"bits": 3}, [1.0] + [0.125] * 200),
    ("log_quantiser", {"bits": 3}, [1.0, 0.75, -0.75]),
    ("log_quantiser", {"bits": 4}, [1.0] + [0.75] * 9),
]


@pytest.mark.parametrize(("name", "settings_", "x"), ATTAINED)
def test_the_worst_vector_attains_the_constant(name: str, settings_: Any, x: list[float]) -> None:
    vector = torch.tensor(x, dtype=torch.float64)
    compressor = vectors.build((name, settings_))
    error = relative_errors(vector[None], compressor.roundtrip(vector[None]))
    assert float(error**2) == pytest.approx(compressor.contract((len(x),)).error, rel=1e-12)


# -- edges ----------------------------------------------------------------------------------


@every_compressor
@pytest.mark.parametrize("dtype", vectors.DTYPES, ids=str)
def test_edges(compressor: Compressor, dtype: torch.dtype) -> None:
    for d in (0, 1, 40):
        zeros = torch.zeros(2, d, dtype=dtype)
        trip = compressor.roundtrip(zeros, generators=vectors.generators(2))
        assert torch.equal(trip.decoded, zeros)
        payload = compressor.compress(zeros[0], vectors.generators(1)[0])
        assert torch.equal(compressor.decompress(payload), zeros[0])
        assert payload.wire_bits == trip.wire_bits[0]
        if d == 0:
            assert trip.body_bits == [0, 0]
    x = vectors.make("normal", 6, 10, dtype).view(2, 3, 10)
    shaped = compressor.roundtrip(x, generators=vectors.generators(6)).decoded
    flat = compressor.roundtrip(x.view(6, 10), generators=vectors.generators(6)).decoded
    assert shaped.shape == x.shape
    assert same_bits(shaped.view(6, 10), flat)
    columns = x.view(6, 10).t().contiguous().t()
    assert same_bits(compressor.roundtrip(columns, generators=vectors.generators(6)).decoded, flat)


@every_compressor
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_that_is_not_finite_is_refused(compressor: Compressor, bad: float) -> None:
    x = torch.ones(2, 5)
    x[1, 3] = bad
    with pytest.raises(NonFiniteError, match=compressor.name):
        compressor.roundtrip(x, generators=vectors.generators(2))
    with pytest.raises(NonFiniteError, match=compressor.name):
        compressor.compress(x[1], vectors.generators(1)[0])


@every_compressor
def test_a_call_that_makes_no_sense_is_refused(compressor: Compressor) -> None:
    with pytest.raises(ValueError, match="one vector"):
        compressor.compress(torch.ones(2, 3), vectors.generators(1)[0])
    with pytest.raises(ValueError, match="allowed: float32"):
        compressor.roundtrip(torch.ones(2, 3, dtype=torch.int64), generators=vectors.generators(2))
    with pytest.raises(ValueError, match="out must have"):
        compressor.roundtrip(torch.ones(3), torch.ones(4), generators=vectors.generators(1))
    with pytest.raises(ValueError, match="expected 4"):
        compressor.blocked(Layout.flat(4)).roundtrip(torch.ones(1, 3))
    if compressor.random:
        with pytest.raises(ValueError, match="one generator a row"):
            compressor.roundtrip(torch.ones(2, 3), generators=vectors.generators(1))
        with pytest.raises(ValueError, match="one generator a row"):
            compressor.compress(torch.ones(3))


# -- randomness -------------------------------------------------------------------------------


@every_compressor
def test_draws_come_from_the_generator_alone(compressor: Compressor) -> None:
    x = vectors.make("normal", 1, 400, torch.float32)[0]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    kept = x.clone()
    first, again, other = (
        compressor.compress(x, torch.Generator().manual_seed(seed)).to_bytes() for seed in (1, 1, 2)
    )
    assert first == again
    may_vary = compressor.random and compressor.contract((400,)).error > 0
    assert (first != other) == may_vary
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(), numpy_state)  # noqa: NPY002


# The factors of PowerSGD come from BLAS, which promises no order of summation.
@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "powersgd"], ids=vectors.label)
def test_bytes_do_not_depend_on_the_number_of_threads(compressor: Compressor) -> None:
    x = vectors.make("normal", 1, 40_001, torch.float64)[0]
    found = set()
    for count in (1, 3):
        with torch_threads(count):
            found.add(compressor.compress(x, vectors.generators(1)[0]).to_bytes())
    assert len(found) == 1
