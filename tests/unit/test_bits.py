"""What the papers' conventions charge, by hand for 21 elements in two layers of 14 and 7."""

import math
from dataclasses import dataclass

import pytest
import torch
from rounds import N, Rounds, noise

from wiregrad.comm.accounting import CONVENTIONS, convention, price_rows
from wiregrad.compressors import Compressor, Content, Contract, EncodedBlock, Params
from wiregrad.compressors import registry as compressors
from wiregrad.compressors.identity import DenseBlock
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import Layout, Shape
from wiregrad.kernels.draws import Generators
from wiregrad.methods import Step

STEPS = 3
TOP_3, SIGN = {"name": "top_k", "k": 3}, {"name": "scaled_sign"}
IDENTITY = {"name": "identity"}
CD_ADAM = {"name": "cd_adam", "compressor": SIGN}


def both(compressor: dict, blocks: str) -> dict:
    """Efficient-Adam with one compressor on both links."""
    links = {"compressor": compressor, "server_compressor": compressor}
    return {"name": "efficient_adam", "blocks": blocks} | links


@pytest.mark.parametrize(
    ("name", "spec", "up", "down"),
    [
        ("cd_adam", {"name": "dist_ams"}, 32 * 21, 32 * 21),
        ("cd_adam", CD_ADAM | {"compressor": IDENTITY}, 32 * 21, 32 * 21),
        ("cd_adam", CD_ADAM, 21 + 32, 21 + 32),
        ("cd_adam", CD_ADAM | {"blocks": "per_layer"}, 21 + 2 * 32, 21 + 2 * 32),
        ("cd_adam", CD_ADAM | {"compressor": TOP_3}, 3 * 64, 3 * 64),
        ("cd_adam", CD_ADAM | {"compressor": TOP_3, "blocks": "per_layer"}, 6 * 64, 6 * 64),
        ("cd_adam", {"name": "comp_ams", "compressor": TOP_3}, 3 * 64, 32 * 21),
        *(
            (
                "efficient_adam",
                both({"name": "log_quantiser", "bits": b}, "per_layer"),
                b * 21 + 2 * 32,
                b * 21 + 2 * 32,
            )
            for b in (2, 3, 4)
        ),
        ("efficient_adam", both({"name": "qsgd", "levels": 4}, "whole"), 4 * 21 + 32, 4 * 21 + 32),
        ("efficient_adam", both(SIGN, "per_tensor"), 21 + 3 * 32, 21 + 3 * 32),
        ("efficient_adam", both(IDENTITY, "per_layer"), 32 * 21, 32 * 21),
        (
            "efficient_adam",
            both({"name": "log_quantiser", "bits": 3}, "whole") | {"server_compressor": IDENTITY},
            3 * 21 + 32,
            32 * 21,
        ),
    ],
)
def test_conventions_of_two_way_compression(name: str, spec: dict, up: int, down: int) -> None:
    rounds = Rounds(spec, convention=name)
    rounds.run(noise(), STEPS)
    assert rounds.up.meter.paper == STEPS * N * up
    assert rounds.down.meter.paper == STEPS * down  # one copy of the broadcast


SPARSIFIER = {"name": "sparsifier", "ratio": 0.3}


@pytest.mark.parametrize(
    ("compressor", "fixed", "each"),
    [
        (IDENTITY, 32 * 21, 0),
        (SPARSIFIER, 0, 5 + 32),
        (TOP_3, 0, 5 + 32),
        ({"name": "ternary", "coding": "sparse"}, 32, 5 + 1),
        ({"name": "ternary", "coding": "dense"}, 32 + 2 * 21, 0),
        ({"name": "qsgd", "levels": 4}, 32, 5 + 1 + 2),
    ],
)
def test_convention_of_asynchronous_compressed_gradients(
    compressor: dict, fixed: int, each: int
) -> None:
    """⌈log₂ 21⌉ = 5 bits an index; what is charged is each message's own nonzeros."""
    rounds = Rounds({"name": "async_sgd", "compressor": compressor}, convention="async_compressed")
    gradients, expected = noise(), 0
    for t in range(1, STEPS + 1):
        rounds.round(gradients(rounds.state.replica.x, t), Step(t, STEPS, 0.01))
        counts = (rounds.up.received.rows() != 0).sum(-1).tolist()
        expected += sum(fixed + each * nonzeros for nonzeros in counts)
    assert rounds.up.meter.paper == expected
    assert rounds.down.meter.paper == STEPS * 32 * 21


def test_an_unknown_convention_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'cdadam', allowed: .*cd_adam.*efficient_adam"):
        convention("cdadam")


@dataclass(frozen=True, kw_only=True)
class FirstThree(Compressor):
    """From outside the package, without what `Sparse` gives: the first three elements."""

    codec = 250
    name = "first_three"
    described: bool = True

    def contract(self, shape: Shape) -> Contract:
        return Contract("biased", 1.0)

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        kept = torch.zeros_like(x)
        kept[:, :3] = x[:, :3]
        return DenseBlock(kept, [()] * len(x))

    def content(self, shape: Shape, params: Params) -> Content:
        if not self.described:
            return super().content(shape, params)
        return Content(numel=math.prod(shape), values=3, indices=3)

    @classmethod
    def _decode(cls, *_: object) -> torch.Tensor:
        raise NotImplementedError

    @classmethod
    def _body_bytes(cls, *_: object) -> int:
        return 100


SPARSE_PRICES = {
    "formula": 800,
    "comp_ams": 3 * 32,
    "values": 3 * 32,
    "values_64": 3 * 64,
    "values_and_indices": 3 * (32 + 5),
    "cd_adam": 3 * 64,
    "async_compressed": 3 * (32 + 5),
    "efficient_adam": 800,  # it prices no indices
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_compressor_from_outside_is_priced_by_its_content(name: str) -> None:
    x = torch.randn(2, 21)
    encoded = FirstThree().blocked(Layout.flat(21)).encode(x)
    assert price_rows(encoded, [convention(name).uplink]) == [(SPARSE_PRICES[name],)] * 2
    top_3 = compressors.build(TOP_3).blocked(Layout.flat(21)).encode(x)
    if name not in {"formula", "efficient_adam"}:
        assert price_rows(top_3, [convention(name).uplink]) == [(SPARSE_PRICES[name],)] * 2


@pytest.mark.parametrize("name", CONVENTIONS)
def test_content_that_is_not_described_is_charged_its_formula(name: str) -> None:
    encoded = FirstThree(described=False).blocked(Layout.flat(21)).encode(torch.randn(1, 21))
    assert price_rows(encoded, [convention(name).uplink]) == [(800,)]
