"""What the papers' books charge, by hand for a vector of 21 elements in two layers of 14 and 7."""

import pytest
from rounds import N, Rounds, noise

from wiregrad.bits import convention
from wiregrad.errors import ConfigError

STEPS = 3
TOP_3, SIGN = {"name": "top_k", "k": 3}, {"name": "scaled_sign"}
IDENTITY = {"name": "identity"}
CD_ADAM = {"name": "cd_adam", "compressor": SIGN}


def both(compressor: dict, blocks: str) -> dict:
    """Efficient-Adam with one compressor on both links."""
    links = {"compressor": compressor, "server_compressor": compressor}
    return {"name": "efficient_adam", "blocks": blocks} | links


@pytest.mark.parametrize(
    ("books", "spec", "up", "down"),
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
def test_books_of_two_way_compression(books: str, spec: dict, up: int, down: int) -> None:
    rounds = Rounds(spec, books=books)
    rounds.run(noise(), STEPS)
    assert rounds.up.meter.paper == STEPS * N * up
    assert rounds.down.meter.paper == STEPS * down  # one copy of the broadcast


def test_an_unknown_convention_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'cdadam', allowed: .*cd_adam.*efficient_adam"):
        convention("cdadam")
