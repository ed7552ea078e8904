"""The kernels give the bits of plain torch, on every path that this CPU has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wiregrad import kernels, wire
from wiregrad.compressors.base import Compressor
from wiregrad.compressors.reduce import mean_abs, root_mean_square
from wiregrad.compressors.sign import BlockSign, ScaledSign
from wiregrad.compressors.top_k import TopK
from wiregrad.core.errors import ConfigError
from wiregrad.kernels import dense, sign, sparse, top_k
from wiregrad.methods.amsgrad import plain_step

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the kernels are not compiled")
KINDS = ("normal", "ties", "denormal", "heavy", "zeros", "constant", "rising")


@pytest.fixture(params=kernels.available() or ("off",))
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    with kernels.using(request.param):
        yield request.param


def each_path() -> Iterator[str]:
    for name in kernels.available():
        with kernels.using(name):
            yield name


def draw(kind: str, n: int, d: int, seed: int) -> torch.Tensor:
    """Rows `[n, d]` with a distance of d + 3 between them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d + 3))
    if kind == "ties":
        x = np.round(x)
        x[x == 0] = rng.choice([0.0, -0.0], size=int((x == 0).sum()))
    elif kind == "denormal":
        x *= 1e-39
    elif kind == "heavy":
        x = x / np.abs(rng.standard_normal(x.shape)) ** 3
    elif kind == "zeros":
        x = rng.choice([0.0, -0.0], size=x.shape)
    elif kind == "constant":
        x[:] = -1.25
    elif kind == "rising":
        x = np.broadcast_to(np.arange(d + 3.0), x.shape).copy()
    return torch.from_numpy(x.astype(np.float32))[:, :d]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Bit for bit, the sign of zero too."""
    return (
        a.shape == b.shape and a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
    )


def given_rows(d: int = 300) -> object:
    return given(
        kind=st.sampled_from(KINDS),
        n=st.integers(1, 3),
        d=st.integers(1, d),
        seed=st.integers(0, 99),
        adds=st.booleans(),
        subtract=st.booleans(),
        share=st.floats(0, 1),
    )


def plain(compressor: Compressor, x: torch.Tensor) -> tuple[torch.Tensor, list[bytes]]:
    """What torch alone decodes, and the bodies of its messages."""
    with kernels.using("off"):
        decoded = compressor.roundtrip(x).decoded
        return decoded, [compressor.compress(row).body for row in x]


def bodies(*parts: torch.Tensor) -> list[bytes]:
    return [b"".join(t.numpy().tobytes() for t in row) for row in zip(*parts, strict=True)]


def check_sign(e: torch.Tensor, g: torch.Tensor | None, size: int, subtract: bool) -> None:
    expected = e.clone() if g is None else e + g
    decoded, body = plain(BlockSign(block_size=size), expected)
    residual = expected - decoded if subtract else expected
    total = torch.zeros(e.shape[1])
    for row in decoded:
        total += row
    for name in each_path():
        x = torch.empty(len(e), e.stride(0))[:, : e.shape[1]].copy_(e)
        rows, finite = sign.encode(x, g, size, subtract=subtract)
        assert finite, name
        assert same(x, residual), name
        assert bodies(rows.scales, rows.bits) == body, name
        out = torch.empty_like(decoded)
        sign.decode(rows, out)
        assert same(out, decoded), name
        summed = torch.full((e.shape[1],), 0.5)
        sign.accumulate(rows, summed, fresh=True, divisor=len(e))
        assert same(summed, total / len(e)), name
        sign.accumulate(rows, summed)
        onto = total / len(e)
        for row in decoded:
            onto += row
        assert same(summed, onto), name


@settings(max_examples=60)
@given_rows()
def test_sign_equals_torch(kind, n, d, seed, adds, subtract, share) -> None:
    g = draw(kind, n, d, seed + 1) if adds else None
    check_sign(draw(kind, n, d, seed), g, 1 + int(share * (d - 1)), subtract)


@pytest.mark.parametrize(
    ("d", "size"),
    [(70_001, 70_001), (300_007, 300_007), (200_000, 16), (200_003, 4096), (200_003, 99_999)],
)
def test_sign_equals_torch_on_long_rows(d: int, size: int) -> None:
    check_sign(draw("heavy", 2, d, 1), draw("normal", 2, d, 2), size, subtract=True)


@pytest.mark.parametrize("d", [1, 77, 70_001, 140_003])
@pytest.mark.parametrize("adds", [True, False])
def test_sign_feedback_of_torch_alone(d: int, adds: bool) -> None:
    """Without kernels the residual and the messages are theirs, worked on piece by piece or not."""
    e, g = draw("ties", 3, d, 1), draw("heavy", 3, d, 2) if adds else None
    found = []
    for name in ("auto", "off"):
        with kernels.using(name):
            residual = e.clone()
            block = ScaledSign().encode_block_with_feedback(residual, g, None, (d,))
            found.append((residual.numpy().tobytes(), [block.body(row) for row in range(3)]))
    assert found[0] == found[1]


@pytest.mark.parametrize("d", [5, 1000, 100_000])
def test_sign_root_mean_square_equals_torch(path: str, d: int) -> None:
    x = draw("heavy", 3, d, 3)
    rows, _ = sign.encode(x.clone(), None, d, square=True)
    assert same(rows.scales, root_mean_square(x).to(torch.float32)[:, None])
    rows, _ = sign.encode(x.clone(), None, d)
    assert same(rows.scales, mean_abs(x).to(torch.float32)[:, None])


def test_sign_scale_stays_finite_at_the_end_of_the_range(path: str) -> None:
    x = torch.full((1, 3), torch.finfo(torch.float32).max)
    for square in (False, True):
        rows, finite = sign.encode(x.clone(), None, 3, square=square)
        assert finite
        assert same(rows.scales, x[:, :1])


def check_top_k(e: torch.Tensor, g: torch.Tensor | None, k: int, subtract: bool) -> None:
    expected = e.clone() if g is None else e + g
    decoded, body = plain(TopK(k=k, index_bits=32), expected)
    residual = expected - decoded if subtract else expected
    for name in each_path():
        x = torch.empty(len(e), e.stride(0))[:, : e.shape[1]].copy_(e)
        rows, finite = top_k.select(x, g, k, subtract)
        assert finite, name
        assert bodies(rows.indices, rows.values) == body, name
        assert same(x, residual), name


@settings(max_examples=60)
@given_rows()
def test_top_k_equals_torch(kind, n, d, seed, adds, subtract, share) -> None:
    g = draw(kind, n, d, seed + 1) if adds else None
    check_top_k(draw(kind, n, d, seed), g, 1 + int(share * (d - 1)), subtract)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("d", "k"), [(100_003, 1), (100_003, 1000), (60_000, 59_999)])
def test_top_k_equals_torch_on_long_rows(kind: str, d: int, k: int) -> None:
    check_top_k(draw(kind, 2, d, 5), None, k, subtract=True)


def test_top_k_is_exact_where_the_sample_misleads() -> None:
    d = 100_003
    spikes, generator = torch.zeros(1, d), torch.Generator().manual_seed(0)
    high = spikes[:, :: d // 512]
    high += 1 + torch.rand(high.shape, generator=generator)
    spikes += 1e-3 * torch.rand(1, d, generator=generator)
    check_top_k(spikes, None, 700, subtract=True)
    check_top_k(spikes.flip(-1), None, 500, subtract=True)


@settings(max_examples=60)
@given(
    bad=st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    d=st.integers(1, 300),
    place=st.floats(0, 1),
)
def test_what_is_not_finite_is_reported(bad: float, d: int, place: float) -> None:
    e = draw("normal", 2, d, 7)
    g = torch.zeros_like(e)
    g[1, int(place * (d - 1))] = bad
    for name in each_path():
        assert not sign.encode(e.clone(), g, d)[1], name
        assert not sign.encode(e.clone(), g, d, square=True)[1], name
        assert not top_k.select(e.clone(), g, (d + 1) // 2)[1], name
        assert sign.encode(e.clone(), None, d)[1], name


@settings(max_examples=40)
@given(width=st.integers(1, 32), count=st.integers(0, 300), seed=st.integers(0, 99))
def test_packing_equals_wire(width: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << width, size=count, dtype=np.uint32)
    symbols = torch.from_numpy(values.view(np.int32))
    for name in each_path():
        data = sparse.pack(symbols, width)
        assert data.numpy().tobytes() == wire.pack_bits(values, width), name
        assert same(sparse.unpack(data, count, width), symbols), name


def test_sparse_sum_adds_in_order(path: str) -> None:
    indices = torch.tensor([[0, 2, 9], [2, 3, 9]], dtype=torch.int32)
    values = torch.tensor([[1e8, 1.0, 0.1], [1e-8, 2.0, 0.2]])
    out = draw("normal", 1, 10, 1)[0]
    expected = out.clone()
    for i, v in zip(indices, values, strict=True):
        expected[i.long()] += v
    sparse.accumulate(indices, values, out)
    assert same(out, expected)
    for bad in (10, -1):
        with pytest.raises(IndexError, match=r"within \[0, 10\)"):
            sparse.accumulate(torch.tensor([bad], dtype=torch.int32), torch.ones(1), out)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 77), (16, 5000)])
def test_mean_of_rows_equals_torch(path: str, n: int, d: int) -> None:
    rows = draw("heavy", n, d, 4)
    expected = torch.zeros(d)
    for row in rows:
        expected += row
    out = torch.full((d,), float("nan"))
    dense.mean_rows(rows, out)
    assert same(out, expected / n)


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    d=st.integers(1, 300),
    eps_inside=st.booleans(),
    keeps=st.booleans(),
    bad=st.booleans(),
)
def test_amsgrad_equals_its_twin(kind, d, eps_inside, keeps, bad) -> None:
    settings_ = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "eps_inside": eps_inside}
    start = [draw("normal", 1, d, 1)[0], *(torch.zeros(d) for _ in range(3))]
    gradients = [draw(kind, 1, d, seed)[0] for seed in range(4)]
    if bad:
        gradients[1][d // 2] = float("nan")
        gradients[2][0] = float("inf")
    x, m, v, v_hat = (t.clone() for t in start)
    for g in gradients:
        plain_step(x, m, v, v_hat if keeps else None, g, **settings_)
    for name in each_path():
        y, p, q, q_hat = (t.clone() for t in start)
        for g in gradients:
            assert dense.amsgrad_step(y, p, q, q_hat if keeps else None, g, **settings_)
        for ours, twins in ((y, x), (p, m), (q, v), (q_hat, v_hat)):
            assert same(ours.nan_to_num(9.0), twins.nan_to_num(9.0)), name


def test_paths_are_chosen_by_name() -> None:
    with kernels.using("off"):
        assert kernels.path() == "off"
        assert not kernels.supports(torch.zeros(3))
        with pytest.raises(ConfigError, match="off"):
            kernels.native()
        with kernels.using("portable"):
            assert kernels.path() == "portable"
        assert kernels.path() == "off"
    with pytest.raises(ConfigError, match=r"'sse'.*allowed: auto, avx512, avx2, portable, off"):
        kernels.using("sse").__enter__()


def afresh(choice: str, code: str) -> subprocess.CompletedProcess[str]:
    """A process that starts with WIREGRAD_KERNELS=`choice`, which is read once."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"WIREGRAD_KERNELS": choice},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_chooses_the_path() -> None:
    code = "from wiregrad import kernels; print(kernels.path())"
    assert afresh("portable", code).stdout == "portable\n"
    refused = afresh("fastest", code).stderr.splitlines()[-1]
    assert "ConfigError: WIREGRAD_KERNELS: 'fastest' is not known, allowed" in refused


NOT_COMPILED = """
import sys
import torch
sys.modules["wiregrad.kernels._native"] = None  # nothing can be imported by this name
from wiregrad import kernels
assert kernels.path() == "off"
assert not kernels.supports(torch.zeros(3))
kernels.using("portable").__enter__()
"""


def test_without_a_compiled_module_torch_alone_is_used_and_this_is_said_once() -> None:
    said = afresh("auto", NOT_COMPILED).stderr
    assert said.count("the kernels were not compiled when wiregrad was installed") == 1
    assert re.search(r"ConfigError: .*'portable' cannot be used here", said.splitlines()[-1])


def test_only_float32_rows_on_the_cpu_fit(path: str) -> None:
    x = torch.zeros(4, 6)
    assert kernels.supports(x, x[:, 2:4], x[0], None)
    assert not kernels.supports(x.double())
    assert not kernels.supports(x[:, ::2])
    assert not kernels.supports(x, x.t())
    assert not kernels.supports(x[None])
    with pytest.raises(ValueError, match="float32 rows"):
        top_k.select(x.double(), None, 1)


def test_shapes_that_do_not_fit_are_refused(path: str) -> None:
    e = torch.zeros(2, 8)
    with pytest.raises(ValueError, match="g must be"):
        sign.encode(e, torch.zeros(2, 7), 4)
    with pytest.raises(ValueError, match="k = 9 of 8"):
        top_k.select(e, None, 9)
    rows, _ = sign.encode(e, None, 4)
    with pytest.raises(ValueError, match="out must be"):
        sign.decode(rows, torch.zeros(3, 8))
    with pytest.raises(ValueError, match="do not fit"):
        sign.accumulate(rows._replace(size=3), torch.zeros(8))
    with pytest.raises(ValueError, match="1 to 32"):
        sparse.pack(torch.zeros(3, dtype=torch.int32), 33)
