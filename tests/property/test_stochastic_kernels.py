"""The stochastic kernels and the torch code: the same bits, on every path."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import vectors
from hypothesis import given
from hypothesis import strategies as st

from wiregrad import kernels
from wiregrad.compressors import Blocked, decode
from wiregrad.core.errors import NonFiniteError
from wiregrad.kernels import draws, stochastic

PATHS = kernels.available()
needs_kernels = pytest.mark.skipif(not PATHS, reason="the kernels were not compiled")
pytestmark = needs_kernels

CASES: list[tuple[str, dict[str, Any]]] = [
    *(("qsgd", {"levels": s}) for s in (1, 2, 3, 7, 15, 31, 63, 100, 127, 128)),
    *(("log_quantiser", {"bits": b}) for b in (2, 3, 4, 5, 8)),
    *(("ternary", {"norm": n, "coding": c}) for n in ("l2", "max") for c in ("dense", "sparse")),
    ("ternary", {}),
    *(("sparsifier", {"ratio": r}) for r in (1e-9, 0.01, 0.25, 0.3, 1.0)),
    ("rand_k", {"ratio": 0.1}),
    ("rand_k", {"ratio": 0.7, "scaled": True}),
    ("natural", {}),
]


def bits(x: torch.Tensor) -> bytes:
    return x.contiguous().view(torch.uint8).numpy().tobytes()


def strided(x: torch.Tensor, gap: int) -> torch.Tensor:
    """A copy of `[n, d]` whose rows lie `gap` elements apart from each other."""
    wide = torch.full((len(x), x.shape[1] + gap), torch.nan)
    wide[:, gap // 2 : gap // 2 + x.shape[1]] = x
    return wide[:, gap // 2 : gap // 2 + x.shape[1]]


def outcome(path: str, case: Any, e: torch.Tensor, g: torch.Tensor | None, gap: int) -> Any:
    """All that a sender and its receivers have after one message of each row."""
    blocked = Blocked(vectors.build(case), ((e.shape[1],),))
    residual, drawing = strided(e, gap), vectors.generators(len(e), seed=3)
    added = None if g is None else strided(g, gap // 2)
    with kernels.using(path):
        try:
            encoded = blocked.encode_with_feedback(residual, added, drawing)
        except NonFiniteError:
            return "not finite"
        total = torch.full((e.shape[1],), 0.5)
        encoded.add_to(total)
        payloads = [encoded.payload(row).to_bytes() for row in range(len(e))]
        decoded = encoded.decode()
        for row, payload in zip(decoded, map(encoded.payload, range(len(e))), strict=True):
            assert bits(decode(payload)) == bits(row)
    states = [bits(generator.get_state()) for generator in drawing]
    return payloads, bits(residual), bits(decoded), bits(total), states


def check(case: Any, e: torch.Tensor, g: torch.Tensor | None, gap: int = 0) -> None:
    expected = outcome(kernels.OFF, case, e, g, gap)
    for path in PATHS:
        assert outcome(path, case, e, g, gap) == expected, path


@st.composite
def rows(draw: st.DrawFn) -> torch.Tensor:
    kind = draw(st.sampled_from(list(vectors.KINDS)))
    n, d = draw(st.integers(1, 3)), draw(st.integers(1, 300))
    power = draw(st.sampled_from((0.0, 0.0, 0.0, 0.5, 0.9, 0.999, 1.0, -0.5, -0.9, -0.95, -1.0)))
    return vectors.make(kind, n, d, torch.float32, power)


@pytest.mark.parametrize("case", CASES, ids=vectors.label)
@given(x=rows(), gap=st.integers(0, 9), more=st.booleans())
def test_kernels_give_the_bits_of_torch(case: Any, x: torch.Tensor, gap: int, more: bool) -> None:
    check(case, x, x.flip(1) * 0.25 if more else None, gap)


FLOATS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@pytest.mark.parametrize("case", CASES, ids=vectors.label)
@given(values=st.lists(FLOATS, min_size=1, max_size=20))
def test_any_floats_at_all(case: Any, values: list[float]) -> None:
    check(case, torch.tensor([values]), None)


@pytest.mark.parametrize("case", CASES, ids=vectors.label)
def test_a_norm_that_lies_just_above_an_element(case: Any) -> None:
    """The root must be the nearest number, or the norm is rounded down to that element."""
    check(case, torch.tensor([[0.99999, 1e-8]]), None)


LARGE = [
    ("qsgd", {"levels": 7}),
    ("qsgd", {"levels": 127}),
    ("log_quantiser", {"bits": 4}),
    ("ternary", {}),
    ("ternary", {"norm": "max"}),
    ("sparsifier", {"ratio": 0.01}),
    ("sparsifier", {"ratio": 0.3}),
    ("rand_k", {"ratio": 0.01}),
    ("natural", {}),
]


@pytest.mark.parametrize("case", LARGE, ids=vectors.label)
def test_large_rows(case: Any) -> None:
    """So large that some upper halves of draws do not decide: 12 are expected in 800 000."""
    g = torch.Generator().manual_seed(1)
    e, more = (torch.randn(2, 400_003, generator=g) for _ in range(2))
    check(case, e * torch.exp(e), more)


@pytest.mark.parametrize("path", PATHS)
@given(key=st.integers(-(1 << 63), (1 << 63) - 1), stream=st.integers(0, 9), start=st.integers(0))
def test_philox(path: str, key: int, stream: int, start: int) -> None:
    start %= 1 << 28
    with kernels.using(path):
        found = stochastic.philox(key, stream, start, 37)
    blocks = torch.arange(start, start + 37)
    assert torch.equal(found, draws.philox(torch.tensor([key]), blocks, stream)[0])


@pytest.mark.parametrize("path", PATHS)
@given(key=st.integers(-(1 << 63), (1 << 63) - 1), d=st.integers(1, 400), share=st.floats(0, 1))
def test_subsets(path: str, key: int, d: int, share: float) -> None:
    k = round(share * d)
    with kernels.using(path):
        found = draws.subset(key, k, d)
    with kernels.using(kernels.OFF):
        assert torch.equal(found, draws.subset(key, k, d))
    assert len(found) == k
    assert bool((found[1:] > found[:-1]).all())
    assert k == 0 or 0 <= int(found[0]) <= int(found[-1]) < d


def test_what_makes_no_sense_is_refused() -> None:
    e, keys = torch.ones(2, 9), torch.zeros(2, dtype=torch.int64)
    uniform = stochastic.Kind.UNIFORM
    with pytest.raises(ValueError, match="a key for each"):
        stochastic.quantise(e, None, keys[:1], uniform, 3, 3, largest=False)
    with pytest.raises(ValueError, match="levels in"):
        stochastic.quantise(e, None, keys, uniform, 4, 3, largest=False)
    with pytest.raises(ValueError, match="g must be"):
        stochastic.natural(e, torch.ones(2, 8), keys)
    with pytest.raises(ValueError, match="float32 rows"):
        stochastic.rand_k(e.double(), None, keys, 3)
    with pytest.raises(ValueError, match="10 of 9"):
        stochastic.rand_k(e, None, keys, 10)
    with pytest.raises(ValueError, match="chance 0"):
        stochastic.sparsify(e, None, keys, 0)
    with pytest.raises(ValueError, match="3 of 2"):
        stochastic.subsets(keys, 3, 2)
    packed, _ = stochastic.quantise(e, None, keys, uniform, 3, 3, largest=False)
    with pytest.raises(ValueError, match="out must be"):
        stochastic.apply(packed, torch.ones(3, 9), stochastic.Mode.ADD)
    with pytest.raises(ValueError, match="do not fit"):
        stochastic.apply(packed._replace(d=12), torch.ones(2, 12), stochastic.Mode.ADD)
