"""The 3PC family: which method is another one's special case, and what crosses the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rounds import D, N, Rounds, noise

from wiregrad import wire
from wiregrad.compressors.top_k import TopK
from wiregrad.core.errors import ConfigError
from wiregrad.methods import Step, registry

TOP_3 = {"name": "top_k", "k": 3}
HEADER = 40
"""Bits of an empty payload."""


def still(seed: int = 0) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Exact gradients of a quadratic with a centre a worker."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(N, D, generator=generator, dtype=torch.float64)
    return lambda x, _: x - centres


@pytest.mark.parametrize(
    ("special", "general"),
    [
        ({"name": "dist_sgd"}, {"name": "ef21", "compressor": "identity"}),
        ({"name": "dist_sgd"}, {"name": "lag", "zeta": 0.0}),
        ({"name": "dist_sgd"}, {"name": "marina", "compressor": TOP_3, "p": 1.0}),
        ({"name": "dist_sgd"}, {"name": "diana", "compressor": "identity"}),
        (
            {"name": "ef21", "compressor": TOP_3},
            {"name": "clag", "compressor": TOP_3, "zeta": 0.0},
        ),
        (
            {"name": "clag", "compressor": TOP_3, "zeta": 0.3},
            {"name": "adacgd", "compressors": [TOP_3], "zeta": 0.3},
        ),
        (
            {"name": "ef21", "compressor": TOP_3},
            {"name": "ef21_bc", "compressor": TOP_3, "server_compressor": "identity"},
        ),
        (
            {"name": "lag", "zeta": 0.3},
            {
                "name": "bidirectional_3pc",
                "uplink": {"name": "lag", "zeta": 0.3},
                "downlink": {"name": "ef21", "compressor": "identity"},
            },
        ),
    ],
)
def test_special_cases(special: dict[str, Any], general: dict[str, Any]) -> None:
    found = []
    for spec in (special, general):
        rounds = Rounds({"lr": 0.2} | spec)
        rounds.run(noise(), 25)
        found.append(rounds)
    torch.testing.assert_close(found[0].state.replica.x, found[1].state.replica.x)
    if not {"diana", "marina"} & {general["name"]}:
        assert found[0].up.meter.wire == found[1].up.meter.wire


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "lag"},
        {"name": "clag", "compressor": TOP_3},
        {"name": "adacgd", "compressors": [TOP_3, "identity"]},
    ],
    ids=lambda spec: spec["name"],
)
def test_a_worker_that_is_near_enough_sends_one_header(spec: dict[str, Any]) -> None:
    rounds = Rounds(spec | {"lr": 0.01, "zeta": 1e9}, convention="values")
    gradients = still()
    rounds.run(gradients, 1)
    dense = rounds.up.meter.wire
    assert rounds.up.meter.paper == 32 * N * D  # the exact g⁰ counts
    rounds.round(gradients(rounds.state.replica.x, 2), Step(2, 9, 0.01))
    assert not rounds.up.received.sent.any()
    assert rounds.up.meter.wire - dense == HEADER * N
    assert rounds.up.meter.paper == 32 * N * D


def test_lag_at_zeta_one_skips_the_round_after_a_message() -> None:
    """‖x − h‖ = ‖x − y‖ exactly there, as the estimate is the gradient itself, to the bit."""
    rounds = Rounds({"name": "lag", "lr": 0.1, "zeta": 1.0})
    gradients = noise()
    for t in range(1, 30):
        before = rounds.up.received.sent.clone()
        rounds.round(gradients(rounds.state.replica.x, t), Step(t, 30, 0.1))
        assert not bool((before & rounds.up.received.sent).any())


def test_adacgd_uses_every_level_and_never_a_finer_one_than_needed() -> None:
    levels = [{"name": "top_k", "k": 1}, TOP_3, "identity"]
    zeta = 0.7
    rounds = Rounds({"name": "adacgd", "lr": 0.1, "zeta": zeta, "compressors": levels})
    gradients, seen = noise(), set()
    for t in range(1, 41):
        h, y = (getattr(rounds.state.workers, name).clone() for name in "hy")
        x = gradients(rounds.state.replica.x, t)
        rounds.round(x, Step(t, 40, 0.1))
        if t == 1:
            continue
        reach = zeta * (x - y).square().sum(-1)
        errors = [(x - h).square().sum(-1)]
        for k in (1, 3):
            sent = TopK(k=k).roundtrip(x - h).decoded
            errors.append((x - h - sent).square().sum(-1))
        for i, choice in enumerate(rounds.up.choices.tolist()):
            enough = [bool(error[i] <= reach[i]) for error in errors] + [True]
            assert enough.index(True) - 1 == choice
            seen.add(choice)
    assert seen == {-1, 0, 1, 2}


def test_a_message_of_two_parts_costs_both_and_arrives_as_their_sum() -> None:
    spec = {"name": "three_pc_v4", "lr": 0.1, "compressor": TOP_3, "second": {**TOP_3, "k": 2}}
    rounds = Rounds(spec, convention="values")
    gradients = noise()
    rounds.run(gradients, 1)
    before, h = rounds.up.meter.paper, rounds.state.workers.h.clone()
    rounds.round(gradients(rounds.state.replica.x, 2), Step(2, 9, 0.1))
    assert rounds.up.meter.paper - before == 32 * N * 5
    torch.testing.assert_close(rounds.state.workers.h, h + rounds.up.received.rows())
    torch.testing.assert_close(rounds.state.server.g, rounds.state.workers.h.mean(0))


def test_the_parts_of_a_message_are_payloads_one_after_the_other() -> None:
    x = torch.arange(6, dtype=torch.float64)
    parts = [TopK(k=2).compress(x), wire.Payload.empty(x.dtype), TopK(k=1).compress(-x)]
    joined = b"".join(part.to_bytes() for part in parts)
    assert wire.Payload.sequence(joined, numel=6) == parts
    with pytest.raises(wire.OversizedPayload, match="follow the payload"):
        wire.Payload.from_bytes(joined)
    with pytest.raises(wire.TruncatedPayload):
        wire.Payload.sequence(joined[:-1])


def test_three_pc_v1_pays_for_the_dense_vector_that_it_needs() -> None:
    rounds = Rounds({"name": "three_pc_v1", "lr": 0.1, "compressor": TOP_3}, convention="values")
    rounds.run(noise(), 5)
    assert rounds.up.meter.paper == 5 * 32 * N * D


def test_both_directions_compress_the_downlink_and_the_workers_move_x() -> None:
    spec = {"name": "ef21_bc", "lr": 0.1, "compressor": TOP_3, "server_compressor": TOP_3}
    rounds = Rounds(spec, convention="values")
    rounds.run(still(), 6)
    assert rounds.down.meter.paper == 32 * (D + 5 * 3)
    torch.testing.assert_close(rounds.state.server.own[0], rounds.state.replica.w)


def test_a_coin_is_the_same_for_all_and_shows_heads_as_often_as_it_should() -> None:
    heads = [Step(t, 4000, 0.1).coin(0.3) for t in range(1, 4001)]
    assert heads == [Step(t, 9, 1.0).coin(0.3) for t in range(1, 4001)]
    assert 0.27 < sum(heads) / 4000 < 0.33
    assert all(Step(t, 9, 1.0).coin(1.0) for t in range(100))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "ef21_plus", "compressor": {"name": "rand_k", "k": 1}}, "EF21.*without draws"),
        ({"name": "three_pc_v1", "compressor": "qsgd"}, "3PCv1 needs one without draws"),
        ({"name": "lag", "zeta": -1}, "method.zeta: .*greater than or equal to 0"),
        ({"name": "marina_perm_k", "p": 0}, "method.p: .*greater than 0"),
        ({"name": "adacgd", "compressors": [], "zeta": 1}, "method.compressors: .*at least 1"),
        (
            {"name": "three_pc_v3", "compressor": "identity", "inner": {"name": "lagg", "zeta": 1}},
            "did you mean 'lag'",
        ),
    ],
)
def test_a_bad_value_gives_one_line(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        registry.build({"lr": 1} | spec, "method")
    assert "\n" not in str(caught.value)


def test_lag_ps_wants_one_smoothness_or_one_a_worker() -> None:
    method = registry.build({"name": "lag_ps", "lr": 1, "smoothness": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="smoothness: 2 numbers, allowed: 1 or 3"):
        method.init(torch.zeros(D), 3)
