"""The Triton twins give the bits of plain torch: interpreted on the CPU, or on a GPU."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from wiregrad import kernels
from wiregrad.compressors.base import Compressor, EncodedBlock
from wiregrad.compressors.log_quantiser import LogQuantiser
from wiregrad.compressors.natural import Natural
from wiregrad.compressors.qsgd import QSGD
from wiregrad.compressors.rand_k import RandK
from wiregrad.compressors.sign import BlockSign, ScaledSign
from wiregrad.compressors.sparsifier import Sparsifier
from wiregrad.compressors.ternary import Ternary
from wiregrad.compressors.top_k import TopK
from wiregrad.kernels.draws import keys_of, philox
from wiregrad.methods.amsgrad import plain_step

GPU = torch.cuda.is_available()
if not GPU and "triton" not in sys.modules:
    # Triton reads it when it is imported; without a GPU it can do nothing but interpret.
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton")
INTERPRETS = os.environ.get("TRITON_INTERPRET") == "1"

DEVICES = [
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETS, reason="TRITON_INTERPRET is not 1")
    ),
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not GPU or INTERPRETS, reason="no GPU, or TRITON_INTERPRET is 1"),
        ],
    ),
]
KINDS = ("normal", "ties", "denormal", "heavy", "zeros", "constant")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest):
    with np.errstate(all="ignore"):  # the interpreter computes with NumPy
        yield request.param


def twin(name: str):
    return importlib.import_module(f"wiregrad.kernels.triton.{name}")


def draw(kind: str, n: int, d: int, seed: int) -> torch.Tensor:
    """Rows `[n, d]`."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
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
    return torch.from_numpy(x.astype(np.float32))


def on(device: str, x: torch.Tensor, apart: int = 3) -> torch.Tensor:
    """A copy on the device, its rows `apart` elements apart."""
    room = torch.zeros(*x.shape[:-1], x.shape[-1] + apart, device=device)
    return room[..., : x.shape[-1]].copy_(x)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Bit for bit, the sign of zero too."""
    a, b = a.cpu().contiguous(), b.cpu().contiguous()
    return a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


def generators(n: int, seed: int = 5) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


def plain(
    compressor: Compressor, e: torch.Tensor, g: torch.Tensor
) -> tuple[EncodedBlock, torch.Tensor]:
    """The messages of e + g by torch alone, and the residual."""
    residual = e.clone()
    with kernels.using("off"):
        return compressor.encode_block_with_feedback(
            residual, g, generators(len(e)), e.shape[1:]
        ), residual


def decoded(block: EncodedBlock, n: int, d: int) -> torch.Tensor:
    out = torch.empty(n, d)
    with kernels.using("off"):
        block.decode(slice(0, n), out)
    return out


def in_order(onto: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    total = onto.clone()
    for row in rows:
        total += row
    return total


SIGN_CASES = [
    ("normal", 2, 1, 1),
    ("normal", 3, 9, 4),
    ("ties", 2, 37, 37),
    ("denormal", 2, 100, 16),
    ("heavy", 2, 257, 100),
    ("zeros", 2, 64, 64),
    ("constant", 2, 300, 300),
    ("heavy", 1, 4097, 4097),
    ("normal", 1, 3000, 1),
]


@pytest.mark.parametrize(("kind", "n", "d", "size"), SIGN_CASES)
def test_sign(device, kind, n, d, size) -> None:
    sign = twin("sign")
    e, g = draw(kind, n, d, 1), draw(kind, n, d, 2)
    for square in [False, True] if size == d else [False]:
        compressor = ScaledSign(norm="l2") if square else BlockSign(block_size=size)
        block, residual = plain(compressor, e, g)
        mine = on(device, e)
        rows, finite = sign.encode(mine, on(device, g, 1), size, square)
        assert finite
        assert same(rows.scales, block.scales)
        assert same(rows.bits, block.bits)
        assert same(mine, residual)
        expected = decoded(block, n, d)
        out = on(device, torch.zeros(n, d))
        sign.decode(rows, out)
        assert same(out, expected)
        total = torch.full((d,), 0.5, device=device)
        sign.accumulate(rows, total)
        assert same(total, in_order(torch.full((d,), 0.5), expected))
        sign.accumulate(rows, total, fresh=True, divisor=3)
        assert same(total, in_order(torch.zeros(d), expected) / 3)


def test_sums_of_long_rows(device, monkeypatch) -> None:
    sums = twin("sums")
    if device == "cpu":  # fewer and larger steps of the interpreter: the same bits
        monkeypatch.setattr(sums, "_TILE", 1 << 14)
    e, g = draw("heavy", 1, 70_001, 1), draw("normal", 1, 70_001, 2)
    for size in (70_001, 33_000):
        status = torch.zeros(1, dtype=torch.int32, device=device)
        mine = on(device, e)
        found = sums.scales(mine, on(device, g), size, sums.MEAN.value, status)
        with kernels.using("off"):
            expected = BlockSign(block_size=size).encode_block(e + g, None, (70_001,))
        assert same(found, expected.scales)
        assert same(mine, e + g)
        assert not status


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_sign_and_top_k_say_what_is_not_finite(device, bad) -> None:
    e = draw("normal", 2, 40, 3)
    e[1, 39] = bad
    assert not twin("sign").encode(on(device, e), None, 40)[1]
    assert not twin("sign").encode(on(device, e), None, 16, square=True)[1]
    assert not twin("top_k").select(on(device, e), None, 3)[1]


def test_sign_only_reads_without_subtract(device) -> None:
    e = draw("ties", 2, 40, 3)
    mine = on(device, e)
    rows, _ = twin("sign").encode(mine, None, 40, subtract=False)
    assert same(mine, e)
    with kernels.using("off"):
        expected = ScaledSign().encode_block(e, None, (40,))
    assert same(rows.bits, expected.bits)
    assert same(rows.scales, expected.scales)


TOP_K_CASES = [
    ("normal", 1, 1, True),
    ("ties", 37, 5, True),
    ("denormal", 100, 99, False),
    ("heavy", 257, 1, True),
    ("zeros", 64, 7, True),
    ("constant", 300, 300, True),
    ("ties", 3000, 100, True),
    ("heavy", 3000, 30, False),
]


@pytest.mark.parametrize(("kind", "d", "k", "subtract"), TOP_K_CASES)
def test_top_k(device, kind, d, k, subtract) -> None:
    n = 2
    e, g = draw(kind, n, d, 1), draw(kind, n, d, 2)
    block, residual = plain(TopK(k=k), e, g)
    mine = on(device, e)
    rows, finite = twin("top_k").select(mine, on(device, g, 1), k, subtract)
    assert finite
    assert same(rows.indices.long(), torch.stack([found.indices for found in block.kept]))
    assert same(rows.values, torch.stack([found.values for found in block.kept]))
    assert same(mine, residual if subtract else e + g)


def check_levels(device, compressor, kind, n, d) -> None:
    stochastic = twin("stochastic")
    e, g = draw(kind, n, d, 1), draw(kind, n, d, 2)
    block, residual = plain(compressor, e, g)
    keys = keys_of(generators(n))
    ternary = isinstance(compressor, Ternary)
    if ternary:
        how = (stochastic.Kind.TERNARY, 1, 2, compressor.norm == "max")
    else:
        how = compressor.packing()[:4]
    mine = on(device, e)
    rows, status = stochastic.quantise(mine, on(device, g, 1), keys, *how)
    assert status == stochastic.Status.FINE
    if not ternary:
        for i in range(n):
            packed = rows.packed[i].cpu().numpy().tobytes()
            assert block.body(i) == rows.scales[i].cpu().numpy().tobytes() + packed
    assert same(mine, residual)
    expected = decoded(block, n, d)
    out = on(device, torch.full((n, d), 0.25))
    stochastic.apply(rows, out, stochastic.Mode.WRITE)
    assert same(out, expected)
    stochastic.apply(rows, out, stochastic.Mode.SUBTRACT)
    assert same(out, expected - expected)
    total = torch.full((d,), 0.5, device=device)
    stochastic.apply(rows, total, stochastic.Mode.ADD)
    assert same(total, in_order(torch.full((d,), 0.5), expected))
    if ternary:
        indices, negative = stochastic.ternary_nonzeros(rows, n - 1)
        assert same(indices, expected[-1].nonzero()[:, 0])
        assert same(negative, expected[-1][indices] < 0)
        assert rows.nonzeros.tolist() == (expected != 0).sum(-1).tolist()


QUANTISERS = [
    QSGD(levels=1),
    QSGD(levels=7),
    QSGD(levels=127),
    LogQuantiser(bits=2),
    LogQuantiser(bits=5),
    LogQuantiser(bits=8),
    Ternary(norm="l2", coding="dense"),
    Ternary(norm="max", coding="dense"),
]


@pytest.mark.parametrize("compressor", QUANTISERS, ids=repr)
def test_quantisers(device, compressor) -> None:
    check_levels(device, compressor, "normal", 2, 61)


@pytest.mark.parametrize("compressor", [QSGD(levels=7), LogQuantiser(bits=3), Ternary()], ids=repr)
@pytest.mark.parametrize(
    ("kind", "d"), [("ties", 1), ("constant", 8), ("denormal", 100), ("zeros", 30), ("heavy", 2501)]
)
def test_quantisers_of_other_vectors(device, compressor, kind, d) -> None:
    check_levels(device, compressor, kind, 1, d)


@pytest.mark.parametrize(("kind", "d"), [("normal", 61), ("denormal", 9), ("heavy", 2501)])
def test_natural(device, kind, d) -> None:
    stochastic = twin("stochastic")
    e, g = draw(kind, 2, d, 1), draw(kind, 2, d, 2)
    block, residual = plain(Natural(), e, g)
    mine = on(device, e)
    rows, status = stochastic.natural(mine, on(device, g, 1), keys_of(generators(2)))
    assert status == stochastic.Status.FINE
    assert [row.cpu().numpy().tobytes() for row in rows.packed] == [block.body(0), block.body(1)]
    assert same(mine, residual)
    total = torch.full((d,), 0.5, device=device)
    stochastic.natural_apply(rows, total, stochastic.Mode.ADD)
    assert same(total, in_order(torch.full((d,), 0.5), decoded(block, 2, d)))


KEEPERS = [
    (Sparsifier(ratio=0.3), 61),
    (Sparsifier(ratio=1.0), 300),
    (Sparsifier(ratio=0.01), 2500),
    (RandK(k=1), 1),
    (RandK(k=5, scaled=True), 61),
    (RandK(k=700), 1000),
]


@pytest.mark.parametrize(("compressor", "d"), KEEPERS, ids=repr)
def test_sparsifier_and_rand_k(device, compressor, d, monkeypatch) -> None:
    stochastic = twin("stochastic")
    e, g = draw("heavy", 2, d, 1), draw("normal", 2, d, 2)
    block, residual = plain(compressor, e, g)
    mine, more, keys = on(device, e), on(device, g, 1), keys_of(generators(2))
    if isinstance(compressor, RandK):
        found, status = stochastic.rand_k(mine, more, keys, *compressor.size(d))
    else:
        chance = int(np.ceil(compressor.ratio * 2**31))
        found, status = stochastic.sparsify(mine, more, keys, chance)
    assert status == stochastic.Status.FINE
    for selection, indices, values in zip(block.kept, *found, strict=True):
        assert same(indices, selection.indices)
        assert same(values, selection.values)
    assert same(mine, residual)


def test_what_leaves_the_range_is_told(device) -> None:
    stochastic = twin("stochastic")
    status, kind = stochastic.Status, stochastic.Kind
    keys = keys_of(generators(2))
    finite, not_finite, large = (
        draw("normal", 2, 40, 1),
        draw("normal", 2, 40, 1),
        torch.zeros(2, 40),
    )
    not_finite[1, 3] = float("nan")
    large[0, :] = 3e38
    for x, expected in [
        (finite, status.FINE),
        (not_finite, status.NOT_FINITE),
        (large, status.RANGE),
    ]:
        given = on(device, x)
        how = (kind.UNIFORM, 4, 4)
        assert stochastic.quantise(given.clone(), None, keys, *how, largest=False)[1] == expected
        assert stochastic.natural(given.clone(), None, keys)[1] == expected
        assert stochastic.sparsify(given.clone(), None, keys, 1 << 29)[1] == expected
        assert stochastic.rand_k(given.clone(), None, keys, 2, 20.0)[1] == expected
    largest = stochastic.quantise(
        on(device, not_finite), None, None, kind.POWER, 3, 3, largest=True
    )
    assert largest[1] == status.NOT_FINITE


@pytest.mark.parametrize("key", [0, -1, 0x123456789ABCDEF])
def test_philox(device, key) -> None:
    keys = torch.tensor([key], device=device)
    blocks = torch.arange(3, 303)
    for stream in (0, 1):
        found = twin("draws").philox(keys, stream, 3, 300)
        assert same(found, philox(keys.cpu(), blocks, stream)[0])


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 300), (5, 3000)])
def test_mean_of_rows(device, n, d) -> None:
    rows = draw("heavy", n, d, 1)
    out = torch.empty(d, device=device)
    twin("dense").mean_rows(on(device, rows), out)
    assert same(out, in_order(torch.zeros(d), rows) / n)


@pytest.mark.parametrize(
    ("keep", "inside", "kind"),
    [
        (True, True, "normal"),
        (True, False, "denormal"),
        (False, True, "zeros"),
        (False, False, "heavy"),
    ],
)
def test_amsgrad(device, keep, inside, kind) -> None:
    d = 1500
    state = [draw("normal", 1, d, 1)[0], draw(kind, 1, d, 2)[0], draw(kind, 1, d, 3)[0].abs()]
    state.append(draw("heavy", 1, d, 4)[0].abs())
    g = draw(kind, 1, d, 5)[0]
    how = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "eps_inside": inside}
    mine = [t.to(device, copy=True) for t in state]
    for x in (state, mine):
        step = plain_step if x is state else twin("dense").amsgrad_step
        step(*x[:3], x[3] if keep else None, g.to(x[0].device), **how)
    for expected, found in zip(state, mine, strict=True):
        assert same(found, expected)


COMPRESSORS = [
    ScaledSign(norm="l2"),
    BlockSign(block_size=16),
    TopK(k=7),
    RandK(k=7),
    Sparsifier(ratio=0.2),
    QSGD(levels=4),
    LogQuantiser(bits=3),
    Ternary(coding="sparse"),
    Natural(),
]


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=repr)
def test_compressors_choose_the_twins_by_device(device, compressor, monkeypatch) -> None:
    monkeypatch.setitem(kernels.TWINS, device, "wiregrad.kernels.triton")
    e, g = draw("normal", 2, 61, 1), draw("normal", 2, 61, 2)
    expected, residual = plain(compressor, e, g)
    started = []
    launch = twin("launch").run

    def run(kernel, *args, **constants):
        started.append(kernel)
        launch(kernel, *args, **constants)

    for name in ("sums", "sign", "compact", "top_k", "sparse", "keep", "stochastic"):
        monkeypatch.setattr(twin(name), "run", run)
    mine = on(device, e, 0)
    block = compressor.encode_block_with_feedback(mine, on(device, g, 0), generators(2), (61,))
    assert started
    assert same(mine, residual)
    assert block.params == expected.params
    assert [block.body(0), block.body(1)] == [expected.body(0), expected.body(1)]
    out, total = torch.empty(2, 61, device=device), torch.zeros(61, device=device)
    block.decode(slice(0, 2), out)
    assert same(out, decoded(expected, 2, 61))
    block.add_to(total)
    assert same(total, in_order(torch.zeros(61), out.cpu()))


def test_off_turns_the_twins_off(device, monkeypatch) -> None:
    monkeypatch.setitem(kernels.TWINS, device, "wiregrad.kernels.triton")
    x = torch.zeros(2, 3, device=device)
    with kernels.using("off"):
        assert not kernels.supports(x)
    monkeypatch.setenv("WIREGRAD_KERNELS", "off")
    assert kernels.twin_package(device) is None
    monkeypatch.setenv("WIREGRAD_KERNELS", "portable")
    assert kernels.supports(x)
    assert not kernels.supports(x, torch.zeros(3, device="meta"))


@pytest.mark.parametrize(("count", "d"), [(1, 1), (300, 7), (1000, 3000)])
def test_sparse_sums_are_in_order(device, count, d) -> None:
    indices = torch.from_numpy(np.random.default_rng(1).integers(0, d, count).astype(np.int32))
    values = draw("heavy", 1, count, 2)[0]
    expected = torch.full((d,), 0.5)
    for index, value in zip(indices.tolist(), values, strict=True):
        expected[index] += value
    out = torch.full((d,), 0.5, device=device)
    twin("sparse").accumulate(indices.to(device), values.to(device), out)
    assert same(out, expected)


def test_sparse_sums_stop_at_an_index_outside(device) -> None:
    out = torch.zeros(4, device=device)
    for outside in (4, -1):
        indices = torch.tensor([2, outside, 3], dtype=torch.int32, device=device)
        with pytest.raises(IndexError, match=r"\[0, 4\)"):
            twin("sparse").accumulate(indices, torch.ones(3, device=device), out)
    assert out.tolist() == [0, 0, 2, 0]


def started() -> Iterator[str]:
    """The kernels that the package starts."""
    for file in Path(twin("launch").__file__).parent.glob("*.py"):
        for name in re.findall(r"\brun\(\s*(_\w+)", file.read_text(encoding="utf-8")):
            yield f"{file.stem}.{name}"


@pytest.mark.slow
def test_compiled_for_a_gpu_every_operation_is_rounded_as_on_the_cpu(tmp_path) -> None:
    script = Path(__file__).parents[1] / "support" / "compile_twins.py"
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    inexact = json.loads(done.stdout)
    assert set(inexact) == set(started())
    assert {name: found for name, found in inexact.items() if found} == {}
