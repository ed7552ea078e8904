"""Draws by counter: the published function, the law of each family, and what moves a generator."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from wiregrad.compressors import Blocked, registry
from wiregrad.kernels import draws

# Random123 1.14.0, tests/kat_vectors, "philox4x32 10": counter, key, words.
KNOWN = [
    ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def key_of(low: int, high: int) -> torch.Tensor:
    key = high << 32 | low
    return torch.tensor([key - (1 << 64) if key >> 63 else key])


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_published_words(counter: list[int], key: list[int], words: str) -> None:
    found = draws.philox_4x32([torch.tensor([c]) for c in counter], key_of(*key))
    assert [f"{word:08x}" for word in found.flatten().tolist()] == words.split()


def test_the_draw_of_an_element_is_two_halves() -> None:
    keys = key_of(5, 7)
    found = draws.draws(keys, 1003)[0].tolist()
    for j in (0, 1, 7, 8, 500, 1002):
        upper, lower = (
            int(draws.philox(keys, torch.tensor([j // 8]), stream)[0, 0, j % 8 // 2])
            >> (16 * (j % 2))
            & 0xFFFF
            for stream in (0, 1)
        )
        assert found[j] == upper << 15 | lower >> 1
    assert draws.draws(keys, 20)[0].tolist() == found[:20]


COUNT = 400_000


def test_every_bit_of_a_draw_is_fair_and_none_follows_another() -> None:
    count = COUNT // 4
    found = draws.draws(key_of(1, 2), count)[0].long()
    planes = torch.stack([found >> bit & 1 for bit in range(31)]).float() * 2 - 1
    spread = 6 * math.sqrt(count)
    assert float(planes.sum(dim=1).abs().max()) < spread
    products = planes @ planes.T
    assert float(products.fill_diagonal_(0).abs().max()) < spread
    for lag in (1, 2, 4, 8):
        assert float((planes[:, lag:] * planes[:, :-lag]).sum(dim=1).abs().max()) < spread
    other = draws.draws(key_of(2, 2), count)[0].long()
    assert abs(float((planes[30] * ((other >> 30) * 2 - 1)).sum())) < spread


@pytest.mark.parametrize("bits", [draws.BITS, draws.WIDE_BITS])
@pytest.mark.parametrize("p", [0.0, 2.0**-14, 0.01, 0.3, 0.5, 0.999, 1.0])
def test_what_has_a_chance_happens_that_often(p: float, bits: int) -> None:
    chance = torch.full((1, COUNT), int(p * 2**bits))
    count = int(draws.happens(chance, key_of(3, 4), bits).sum())
    assert abs(count - p * COUNT) <= 6 * math.sqrt(p * (1 - p) * COUNT)


def test_a_small_chance_is_not_rounded_away() -> None:
    """1e-5 lies below the upper half of a draw: in 4 million draws, 40 are expected."""
    x = torch.full((4, 1_000_001), 1e-5)
    x[:, 0] = 1
    compressor = registry.build({"name": "ternary", "norm": "max"})
    seeds = [torch.Generator().manual_seed(i) for i in range(4)]
    kept = int(compressor.roundtrip(x, generators=seeds).decoded[:, 1:].count_nonzero())
    assert 12 <= kept <= 75


UNBIASED: list[dict[str, Any]] = [
    {"name": "qsgd", "levels": 1},
    {"name": "qsgd", "levels": 7},
    {"name": "qsgd", "levels": 127},
    {"name": "qsgd", "levels": 1000},
    {"name": "ternary"},
    {"name": "ternary", "norm": "max"},
    {"name": "sparsifier", "ratio": 0.07},
    {"name": "sparsifier", "ratio": 0.07, "probabilities": "optimal"},
    {"name": "rand_k", "ratio": 0.07, "scaled": True},
    {"name": "natural"},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("spec", UNBIASED, ids=lambda s: "-".join(map(str, s.values())))
def test_the_mean_along_the_vector_is_the_vector(spec: dict[str, Any], dtype: torch.dtype) -> None:
    """⟨Q(x), x⟩/‖x‖² and ⟨Q(x), s⟩/⟨x, s⟩, s = sgn(x), have mean 1: within 6 standard errors.

    The errors are below 6 % for each family, so that a chance off by a factor would show.
    """
    n, d = 600, 500
    x = torch.randn(d, generator=torch.Generator().manual_seed(8), dtype=dtype)
    seeds = [torch.Generator().manual_seed(i) for i in range(n)]
    found = registry.build(spec).roundtrip(x.expand(n, -1).clone(), generators=seeds).decoded
    for along in (x, x.sign()):
        shares = (found.double() @ along.double()) / (x.double() @ along.double())
        error = float(shares.std()) / math.sqrt(n)
        assert error < 0.06
        assert abs(float(shares.mean()) - 1) < 6 * error + 1e-6


RANDOM = [name for name in registry if registry[name].random and name != "powersgd"]


@pytest.mark.parametrize("name", RANDOM)
def test_a_message_moves_its_generator_by_one_draw(name: str) -> None:
    compressor = registry.build({"name": name, **registry[name].examples()[0]})
    expected = torch.Generator().manual_seed(4)
    torch.empty((), dtype=torch.int64).random_(generator=expected)
    for d in (1, 30, 4001):
        generator = torch.Generator().manual_seed(4)
        compressor.compress(torch.ones(d), generator)
        assert torch.equal(generator.get_state(), expected.get_state())


def test_blocks_draw_a_key_each() -> None:
    blocked = Blocked(registry.build({"name": "qsgd"}), ((40,), (40,)))
    found = blocked.roundtrip(
        torch.ones(80), generators=[torch.Generator().manual_seed(0)]
    ).decoded.view(2, 40)
    assert not torch.equal(found[0], found[1])
