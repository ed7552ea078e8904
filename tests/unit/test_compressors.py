"""Each family against its definition, computed in another way."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from wiregrad.compressors import Compressor, registry
from wiregrad.compressors.reduce import max_abs, mean_abs, norm1, norm2, root_mean_square
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.wire import index_width


def build(name: str, **settings: Any) -> Compressor:
    return registry.build({"name": name, **settings})


def sent(compressor: Compressor, x: Any, seed: int = 0) -> torch.Tensor:
    x = torch.as_tensor(x)
    return compressor.roundtrip(x, generators=[torch.Generator().manual_seed(seed)]).decoded


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


# -- norms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 7, 1000, 32_768, 32_769, 100_003])
def test_norms_are_those_of_an_exact_sum(d: int) -> None:
    x = normal(3, d, dtype=torch.float32) * torch.exp(3 * normal(3, d, dtype=torch.float32))
    for row, one, two, top in zip(x.tolist(), norm1(x), norm2(x), max_abs(x), strict=True):
        assert float(one) == pytest.approx(math.fsum(map(abs, row)), rel=1e-13)
        assert float(two) == pytest.approx(math.sqrt(math.fsum(v * v for v in row)), rel=1e-13)
        assert float(top) == max(map(abs, row))


def test_means_do_not_overflow_and_norms_do_not_underflow() -> None:
    end = torch.finfo(torch.float64).max
    x = torch.full((1, 11), -end, dtype=torch.float64)
    assert end * (1 - 1e-15) < float(mean_abs(x)) <= end
    assert end * (1 - 1e-15) < float(root_mean_square(x)) <= end
    assert float(norm1(x)) == math.inf
    tiny = torch.full((1, 4), 1e-320, dtype=torch.float64)
    assert float(norm2(tiny)) == pytest.approx(2e-320, rel=1e-3)
    huge = torch.full((1, 100), 3e38)
    assert float(norm2(huge)) == pytest.approx(3e39, rel=1e-6)
    assert torch.isfinite(sent(build("scaled_sign"), huge)).all()
    assert torch.isfinite(sent(build("scaled_sign", norm="l2"), huge)).all()


# -- sparse -----------------------------------------------------------------------------------


def test_top_k_keeps_the_largest_and_of_equals_the_first() -> None:
    x = torch.tensor([1.0, -3.0, 2.0, 3.0, -2.0, 2.0, 0.0])
    assert sent(build("top_k", k=2), x).tolist() == [0, -3, 0, 3, 0, 0, 0]
    assert sent(build("top_k", k=4), x).tolist() == [0, -3, 2, 3, -2, 0, 0]
    assert sent(build("top_k", k=99), x).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_top_k_is_a_stable_sort_by_size(dtype: torch.dtype) -> None:
    x = (normal(500) * 4).round().div(4).to(dtype)
    for k in (1, 17, 250, 499):
        first = torch.sort(x.abs().double(), descending=True, stable=True).indices[:k]
        expected = torch.zeros_like(x).index_put((first,), x[first])
        assert torch.equal(sent(build("top_k", k=k), x), expected)


@pytest.mark.parametrize(
    ("ratio", "d", "k"), [(0.01, 99, 1), (0.01, 250, 2), (0.5, 3, 1), (1.0, 9, 9)]
)
def test_a_ratio_is_rounded_down_to_at_least_one(ratio: float, d: int, k: int) -> None:
    for name in ("top_k", "rand_k"):
        assert int(sent(build(name, ratio=ratio), torch.ones(d)).count_nonzero()) == k


@pytest.mark.parametrize("settings", [{}, {"k": 2, "ratio": 0.5}, {"k": 0}, {"ratio": 1.5}])
def test_k_and_ratio_are_checked(settings: dict[str, Any]) -> None:
    for name in ("top_k", "rand_k"):
        with pytest.raises(ConfigError):
            build(name, **settings)


@pytest.mark.parametrize("ratio", [0.001, 0.01, 0.13, 0.9])
def test_top_k_by_quantile_follows_numpy(ratio: float) -> None:
    for d in (1, 2, 37, 400):
        x = normal(d)
        size = x.abs().numpy()
        threshold = np.quantile(size, 1 - max(ratio, 1 / d))
        kept = sent(build("top_k", ratio=ratio, select="quantile"), x)
        assert kept.tolist() == np.where(size > threshold, x.numpy(), 0).tolist()
    assert not sent(build("top_k", ratio=ratio, select="quantile"), torch.ones(50)).any()


def test_rand_k_draws_every_subset_alike() -> None:
    compressor = build("rand_k", k=2)
    x = torch.ones(6000, 4)
    kept = compressor.roundtrip(x, generators=[torch.Generator().manual_seed(5)] * len(x)).decoded
    subsets, counts = kept.unique(dim=0, return_counts=True)
    assert len(subsets) == 6
    assert torch.all((counts - 1000).abs() < 6 * math.sqrt(1000))
    scaled = sent(build("rand_k", k=2, scaled=True), torch.ones(4))
    assert sorted(scaled.tolist()) == [0, 0, 2, 2]


def test_optimal_probabilities_meet_the_budget_with_less_variance() -> None:
    x = normal(40) * torch.exp(2 * normal(40).flip(0))
    draws = 4000
    spread, count = {}, {}
    for kind in ("uniform", "optimal"):
        compressor = build("sparsifier", ratio=0.25, probabilities=kind)
        drawing = [torch.Generator().manual_seed(2)] * draws
        kept = compressor.roundtrip(x.expand(draws, -1), generators=drawing).decoded
        spread[kind] = float((kept - x).square().sum(-1).mean())
        count[kind] = float(kept.count_nonzero(dim=-1).double().mean())
    assert count["uniform"] == pytest.approx(10, abs=0.3)
    assert count["optimal"] == pytest.approx(10, abs=0.3)
    assert spread["optimal"] < 0.2 * spread["uniform"]


def test_given_probabilities_are_those_of_their_elements() -> None:
    """Repeated along the vector; what is sent is divided by them."""
    compressor = build("sparsifier", probabilities=[0.2, 1.0, 0.5])
    drawing = [torch.Generator().manual_seed(4)] * 4000
    x = torch.tensor([1.0, -2.0, 3.0, 4.0]).double()
    kept = compressor.roundtrip(x.expand(4000, -1), generators=drawing).decoded
    shares = (kept != 0).double().mean(0)
    assert torch.allclose(shares, torch.tensor([0.2, 1.0, 0.5, 0.2]).double(), atol=0.03)
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0.0, 5.0])
    assert compressor.contract((4,)).constant == 5.0
    for bad in ({}, {"ratio": 0.5, "probabilities": [0.5]}):
        with pytest.raises(ConfigError, match=r"\.ratio: allowed, and required, unless"):
            build("sparsifier", **bad)


def test_optimal_probabilities_send_few_nonzeros_as_they_are() -> None:
    x = torch.zeros(20)
    x[[3, 9]] = torch.tensor([5.0, -1e-3])
    assert torch.equal(sent(build("sparsifier", ratio=0.2, probabilities="optimal"), x), x)


# -- quantisers -------------------------------------------------------------------------------


def test_signs_count_zero_as_positive() -> None:
    x = torch.tensor([0.0, -0.0, -4.0, 2.0])
    assert sent(build("scaled_sign"), x).tolist() == [1.5, 1.5, -1.5, 1.5]
    scale = math.sqrt(20) / 2
    assert sent(build("scaled_sign", norm="l2"), x).tolist() == pytest.approx(
        [scale, scale, -scale, scale]
    )
    assert sent(build("block_sign", block_size=3), x).tolist() == pytest.approx(
        [4 / 3, 4 / 3, -4 / 3, 2]
    )


@pytest.mark.parametrize("levels", [1, 3, 200])
def test_qsgd_rounds_to_a_level_next_to_the_value(levels: int) -> None:
    x = normal(300)
    unit = float(x.norm()) / levels
    place = sent(build("qsgd", levels=levels), x) / unit
    assert torch.allclose(place, place.round(), atol=1e-9)
    assert bool(((place - x / unit).abs() < 1 + 1e-9).all())
    end = torch.tensor([torch.finfo(torch.float64).max], dtype=torch.float64)
    assert torch.equal(sent(build("qsgd", levels=levels), end), end)
    one_hot = torch.tensor([0.0, -3.0, 0.0])
    assert torch.equal(sent(build("qsgd", levels=levels), one_hot), one_hot)


@pytest.mark.parametrize("norm", ["l2", "max"])
def test_ternary_sends_the_norm_or_nothing(norm: str) -> None:
    x = normal(300)
    scale = float(x.norm() if norm == "l2" else x.abs().max())
    dense = sent(build("ternary", norm=norm, coding="dense"), x)
    assert torch.equal(dense, sent(build("ternary", norm=norm, coding="sparse"), x))
    kept = dense != 0
    assert 0 < int(kept.sum()) < 300
    assert torch.allclose(dense[kept], scale * x[kept].sign())


def test_ternary_takes_the_shorter_coding() -> None:
    x = torch.ones(400)
    for norm, coding in (("l2", "sparse"), ("max", "dense")):
        bits = {
            c: build("ternary", norm=norm, coding=c)
            .roundtrip(x, generators=[torch.Generator().manual_seed(0)])
            .body_bits[0]
            for c in ("auto", "dense", "sparse")
        }
        assert bits["auto"] == bits[coding] == min(bits.values())
        assert bits["dense"] != bits["sparse"]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_log_quantiser_takes_the_nearest_level(bits: int) -> None:
    k = 2 ** (bits - 1) - 2
    levels = torch.tensor([0.0, *(2.0**-j for j in range(k, -1, -1))], dtype=torch.float64)
    assert len(levels) == 2 ** (bits - 1)
    midpoints = torch.tensor([(a + b) / 2 for a, b in pairwise(levels.tolist())])
    x = torch.cat([torch.linspace(-1, 1, 4001, dtype=torch.float64), midpoints.double()])
    got = sent(build("log_quantiser", bits=bits), 3 * x) / 3
    gap = (x.abs()[:, None] - levels).abs()
    nearest = levels[gap.shape[1] - 1 - gap.flip(1).argmin(1)]  # of equals, the higher
    assert torch.allclose(got, nearest * x.sign(), atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_natural_rounds_to_a_power_of_two_next_to_the_value(dtype: torch.dtype) -> None:
    x = normal(2000).to(dtype)
    got = sent(build("natural"), x).double()
    mantissa, _ = torch.frexp(got)
    assert torch.equal(mantissa.abs(), torch.full_like(mantissa, 0.5))
    ratio = got / x.double()
    assert 0.5 < float(ratio.min()) < 0.6
    assert 1.6 < float(ratio.max()) < 2
    powers = torch.tensor([1.0, -2.0, 0.0, 0.25], dtype=dtype)
    assert torch.equal(sent(build("natural"), powers), powers)
    with pytest.raises(NonFiniteError, match="largest power"):
        sent(build("natural"), torch.tensor([torch.finfo(dtype).max], dtype=dtype))


def test_half_precision_scales_by_a_power_of_two() -> None:
    for power in (-140, -20, 0, 20, 126):
        x = normal(200, dtype=torch.float32).clamp(-2, 2) * 2.0**power
        error = (sent(build("fp16"), x).double() - x.double()).abs()
        assert float(error.max()) <= 2.0**-11 * float(x.abs().max())
    end = torch.tensor([torch.finfo(torch.float32).max])
    for name in ("fp16", "bf16"):
        assert float(sent(build(name), end)[0]) == pytest.approx(float(end[0]), rel=2**-8)
        wide = torch.tensor([1e300, -1e-300, 0.0], dtype=torch.float64)
        assert sent(build(name), wide).tolist() == pytest.approx([1e300, 0, 0], rel=2**-8)


def test_half_precision_unscaled_is_the_plain_cast() -> None:
    x = normal(200, dtype=torch.float32)
    assert torch.equal(sent(build("fp16", scaled=False), x), x.half().float())
    assert torch.equal(sent(build("bf16", scaled=False), x), x.bfloat16().float())
    with pytest.raises(NonFiniteError, match="float16"):
        sent(build("fp16", scaled=False), torch.tensor([7e4]))
    end = torch.tensor([65504.0], dtype=torch.float16)  # rounds up to 2^16 in bfloat16
    assert torch.equal(sent(build("bf16", scaled=False), end), end)


# -- low rank ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (8, 5, 3, 3), (600,), (601,)])
def test_powersgd_projects_onto_a_space_of_its_rank(shape: tuple[int, ...]) -> None:
    rank, d = 3, math.prod(shape)
    blocked = build("powersgd", rank=rank).blocked(_layout(shape), "per_tensor")
    x = normal(d)
    got = blocked.roundtrip(x, generators=[torch.Generator().manual_seed(0)]).decoded
    rows = shape[0] if len(shape) > 1 else math.isqrt(d - 1) + 1
    padded = torch.zeros(rows, -(-d // rows), dtype=torch.float64)
    padded.view(-1)[:d] = got
    if d % rows == 0:
        assert int(torch.linalg.matrix_rank(padded)) == rank
        assert float((x - got) @ got) == pytest.approx(0, abs=1e-10)
    assert float((x - got).square().sum()) < float(x.square().sum())


def test_powersgd_is_exact_on_a_matrix_of_its_rank() -> None:
    x = (normal(12, 2) @ normal(2, 9)).flatten()
    blocked = build("powersgd", rank=2).blocked(_layout((12, 9)), "per_tensor")
    got = blocked.roundtrip(x, generators=[torch.Generator().manual_seed(0)]).decoded
    assert torch.allclose(got, x, atol=1e-12)


def test_powersgd_sends_dense_what_it_cannot_shorten() -> None:
    blocked = build("powersgd", rank=2).blocked(_layout((4, 3)), "per_tensor")
    x = normal(12)
    trip = blocked.roundtrip(x, generators=[torch.Generator().manual_seed(0)])
    assert torch.equal(trip.decoded, x)
    assert trip.body_bits == [64 * 12]
    assert blocked.contract().constant == 1.0


def _layout(shape: tuple[int, ...]) -> Any:
    from wiregrad.core.layout import Layout

    return Layout(("x",), (shape,))


# -- sizes, as the papers state them ------------------------------------------------------------

D = 21_840


@pytest.mark.parametrize(
    ("spec", "bits"),
    [
        ({"name": "identity"}, 32 * D),
        ({"name": "top_k", "ratio": 0.01}, 218 * (index_width(D) + 32)),
        ({"name": "top_k", "ratio": 0.01, "index_bits": 32}, 218 * 64),
        ({"name": "scaled_sign"}, D + 32),
        ({"name": "block_sign", "block_size": 8}, D + 32 * D // 8),
        ({"name": "qsgd", "levels": 7}, 4 * D + 32),
        ({"name": "ternary", "coding": "dense"}, 2 * D + 32),
        ({"name": "log_quantiser", "bits": 3}, 3 * D + 32),
        ({"name": "natural"}, 9 * D),
        ({"name": "fp16", "scaled": False}, 16 * D),
        ({"name": "bf16"}, 16 * D + 16),
        ({"name": "powersgd", "rank": 2}, 32 * 2 * (148 + 148)),
    ],
    ids=lambda v: v["name"] if isinstance(v, dict) else "",
)
def test_body_bits_are_the_closed_form(spec: dict[str, Any], bits: int) -> None:
    x = normal(D, dtype=torch.float32)
    trip = registry.build(spec).roundtrip(x, generators=[torch.Generator().manual_seed(0)])
    assert bits <= trip.body_bits[0] < bits + 16  # sections are filled up to whole bytes
