"""Every method against its naive twin: each flag, each deterministic compressor, each blocking."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from twins import TWINS
from twins.problem import Logistic, random_problem

from wiregrad.methods import registry

STEPS = 60
FAMILY_STEPS = 200
"""Rounds of the 3PC family, whose iterates stay closer to their twins': nothing is divided."""

TOP_K = {"name": "top_k", "k": 2}
RATIO = {"name": "top_k", "ratio": 0.3}
SIGN = {"name": "scaled_sign"}
SIGN_L2 = {"name": "scaled_sign", "norm": "l2"}
BLOCK_SIGN = {"name": "block_sign"}
IDENTITY = {"name": "identity"}
LOG_3 = {"name": "log_quantiser", "bits": 3}
SCHEDULE = {"name": "step", "milestones": [10, 25], "factor": 0.3}

MESSAGES = [
    *({"compressor": c} for c in (IDENTITY, TOP_K, RATIO, SIGN, BLOCK_SIGN)),
    *(
        {"compressor": c, "blocks": blocks}
        for c in (TOP_K, RATIO, SIGN, BLOCK_SIGN)
        for blocks in ("whole", "per_tensor", "per_layer")
    ),
]
"""Every deterministic compressor on every kind of blocks."""

FEW = [
    {"compressor": IDENTITY},
    {"compressor": RATIO, "blocks": "per_tensor"},
    {"compressor": SIGN, "blocks": "whole"},
    {"compressor": BLOCK_SIGN},
]

AMSGRAD = [
    {"beta1": 0.8},
    {"beta2": 0.9},
    {"eps": 1e-3},
    {"eps_inside": False},
    {"eps_inside": False, "eps": 1e-3},
    {"schedule": SCHEDULE},
]
SHARED = [{"shared_state": True}, {"shared_state": True, "blocks": "per_tensor"}]

SCRIPTS = {
    "compressor": RATIO | {"select": "quantile"},
    "blocks": "per_tensor",
    "eps_inside": False,
}
"""What the published scripts of COMP-AMS do where they differ from the text."""

ONE_BIT = [
    {},
    *FEW,
    {"compressor": SIGN_L2},
    {"warmup": 0.5},
    {"warmup_rounds": 7},
    {"warmup": 0.001, "lr": 0.001},  # v of one round is small, so steps are large
    *AMSGRAD,
    {"eps_inside": True},
]


RAND_K = {"name": "rand_k", "k": 3}
UNBIASED = RAND_K | {"scaled": True}
BLOCKED = [{"blocks": "per_tensor"}, {"schedule": SCHEDULE}]
"""What every method of the 3PC family has beside its mechanism."""
TRIGGERED = [{"zeta": 1.0}, {"zeta": 0.0}, {"zeta": 40.0}]
ADACGD_METHOD = {"compressors": [TOP_K, TOP_K | {"k": 4}, IDENTITY], "zeta": 1.0}
ADACGD = {"name": "adacgd"} | ADACGD_METHOD
V3 = {"name": "three_pc_v3", "compressor": TOP_K, "inner": {"name": "lag", "zeta": 4.0}}


CODE = {"bias_correction": True, "eps_inside": False, "weight_decay": 0.05}
"""What the published code of CD-Adam adds to its text."""
DECAYED = [{"weight_decay": 0.05}, {"schedule": SCHEDULE}]
BOTH_LINKS = [
    {"compressor": IDENTITY},
    {"compressor": TOP_K, "blocks": "per_layer"},
    {"compressor": SIGN},
    {"compressor": RATIO, "blocks": "per_tensor", "schedule": SCHEDULE},
]
SWITCHED = {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3} | CODE


def having(base: dict, cases: list[dict]) -> list[dict]:
    return [base | case for case in cases]


FAMILY: dict[str, list[dict]] = {
    "ef21": [*FEW, {"compressor": RAND_K}, *having({"compressor": TOP_K}, BLOCKED)],
    "ef21_plus": [*FEW, *having({"compressor": TOP_K}, BLOCKED)],
    "lag": [*TRIGGERED, *having({"zeta": 2.0}, BLOCKED)],
    "clag": [
        *having({"compressor": TOP_K}, TRIGGERED),
        *having({"compressor": SIGN, "zeta": 4.0}, BLOCKED),
        {"compressor": RAND_K, "zeta": 1.0},
    ],
    "adacgd": [
        ADACGD_METHOD,
        ADACGD_METHOD | {"zeta": 0.1},
        {"compressors": [BLOCK_SIGN, RATIO], "zeta": 4.0},
        {"compressors": [TOP_K], "zeta": 1.0},
        *having(ADACGD_METHOD, BLOCKED),
    ],
    "three_pc_v1": [*FEW, *having({"compressor": TOP_K}, BLOCKED)],
    "three_pc_v2": [
        {"compressor": TOP_K, "unbiased": UNBIASED},
        *having({"compressor": TOP_K, "unbiased": IDENTITY}, BLOCKED),
        {"compressor": RAND_K, "unbiased": UNBIASED},
    ],
    "three_pc_v3": [
        {"compressor": TOP_K, "inner": {"name": "lag", "zeta": 4.0}},
        *having(
            {"compressor": TOP_K, "inner": {"name": "clag", "compressor": SIGN, "zeta": 1.0}},
            BLOCKED,
        ),
        {"compressor": RATIO, "inner": V3},
        {"compressor": RATIO, "inner": {"name": "ef21", "compressor": SIGN}},
    ],
    "three_pc_v4": [
        {"compressor": TOP_K, "second": SIGN},
        *having({"compressor": RAND_K, "second": TOP_K}, BLOCKED),
    ],
    "three_pc_v5": [
        {"compressor": TOP_K, "p": 0.2},
        {"compressor": SIGN, "p": 0.5},
        {"compressor": TOP_K, "p": 1.0},
        *having({"compressor": TOP_K, "p": 0.1}, BLOCKED),
    ],
    "lag_wk": [{}, {"xi": 1.0}, {"memory": 3}, *BLOCKED],
    "lag_ps": having(
        {"smoothness": [2.0]},
        [
            {},
            {"xi": 0.3, "smoothness": [1.0, 2.0, 0.5, 3.0, 1.0]},
            {"memory": 3},
            *BLOCKED,
        ],
    ),
    "marina": having(
        {"compressor": UNBIASED, "p": 0.3}, [{}, {"p": 1.0}, {"compressor": IDENTITY}, *BLOCKED]
    ),
    "marina_perm_k": having({"p": 0.3}, [{}, {"p": 1.0}, *BLOCKED]),
    "diana": having(
        {"compressor": UNBIASED},
        [
            {},
            {"shift_rate": 0.1},
            {"shift_rate": 0.5, "blocks": "per_tensor"},
            {"schedule": SCHEDULE},
        ],
    ),
    "ef21_bc": having(
        {"compressor": TOP_K, "server_compressor": RATIO},
        [{}, *BLOCKED, {"server_compressor": RAND_K}],
    ),
    "bidirectional_3pc": [
        {"uplink": ADACGD, "downlink": ADACGD},
        *having({"uplink": V3, "downlink": {"name": "lag", "zeta": 1.0}}, BLOCKED),
        {
            "uplink": {"name": "clag", "compressor": RAND_K, "zeta": 2.0},
            "downlink": {"name": "three_pc_v5", "compressor": TOP_K, "p": 0.3},
        },
        {
            "uplink": {"name": "three_pc_v2", "compressor": TOP_K, "unbiased": UNBIASED},
            "downlink": {"name": "three_pc_v1", "compressor": SIGN},
        },
        {"uplink": {"name": "lag", "zeta": 0.5}, "downlink": {"name": "ef21", "compressor": TOP_K}},
    ],
}

SUMS = [{"compressor": UNBIASED}, *FEW, {"compressor": RATIO, "schedule": SCHEDULE}]

CASES: dict[str, list[dict]] = {
    **FAMILY,
    "q_gd": SUMS,
    "distributed_q_gd": SUMS,
    "q_iag": SUMS,
    "async_sgd": [*SUMS, {"compressor": UNBIASED, "parts": 3}],
    "async_ef_sgd": [*FEW, {"compressor": RATIO, "schedule": SCHEDULE}],
    "comp_ams": [
        *MESSAGES,
        SCRIPTS,
        SCRIPTS | {"shared_state": True},
        *having({"compressor": RATIO}, [*AMSGRAD, *SHARED]),
        *having({"compressor": BLOCK_SIGN}, [*AMSGRAD, *SHARED]),
    ],
    "dist_ams": [{}, {"blocks": "per_tensor"}, *AMSGRAD],
    "naive": [*FEW, *having({"compressor": RATIO}, AMSGRAD)],
    "dist_sgd": [{}, {"blocks": "per_tensor"}, {"momentum": 0.9}, {"schedule": SCHEDULE}],
    "naive_sgd": [
        *FEW,
        *having({"compressor": RATIO}, [{"momentum": 0.9}, {"schedule": SCHEDULE}]),
    ],
    "ef_sgd": [*FEW, {"compressor": RATIO, "schedule": SCHEDULE}],
    "qadam": [{}, *MESSAGES, *AMSGRAD, *SHARED, {"compressor": TOP_K, "shared_state": True}],
    "qadam_published": [
        {},
        *FEW,
        {"weights": {"name": "top_k", "ratio": 0.7}},
        {"weights": BLOCK_SIGN, "blocks": "auto"},
        {"beta": 0.5},
        {"theta": 0.5},
        {"eps": 1e-3},
        {"schedule": SCHEDULE},
    ],
    "cd_adam": [
        *BOTH_LINKS,
        {"compressor": BLOCK_SIGN, "blocks": "auto"},
        {"compressor": LOG_3},
        CODE | {"compressor": SIGN, "blocks": "per_layer"},
        *having(
            {"compressor": RATIO},
            [*AMSGRAD, {"bias_correction": True}, {"weight_decay": 0.05}],
        ),
    ],
    "naive_two_way": [*BOTH_LINKS, SWITCHED | {"compressor": RATIO}],
    "ef_two_way": [*BOTH_LINKS, SWITCHED | {"compressor": RATIO}],
    "ef21_two_way": [*BOTH_LINKS, *having({"compressor": RATIO}, DECAYED)],
    "double_squeeze": [*BOTH_LINKS, *having({"compressor": RATIO}, DECAYED)],
    "dist_adam": [
        {},
        {"blocks": "per_tensor", "schedule": SCHEDULE},
        {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.05},
        {"eps_inside": True, "bias_correction": False},
        {"eps_inside": True, "eps": 1e-3},
    ],
    "efficient_adam": having(
        {"compressor": LOG_3, "server_compressor": LOG_3},
        [
            {},
            *having({"server_compressor": IDENTITY}, FEW),
            {"compressor": IDENTITY, "server_compressor": TOP_K},
            {"compressor": LOG_3 | {"bits": 2}, "server_compressor": LOG_3 | {"bits": 4}},
            {"blocks": "whole", "worker_feedback": False},
            {"blocks": "per_layer", "server_feedback": False},
            {"beta": 0.5, "theta": 0.9},
            {"theta_schedule": "horizon", "lr_schedule": "horizon", "theta": 2.0},
            {"theta_schedule": "round", "lr_schedule": "round"},
            {"v0": 0.1, "schedule": SCHEDULE},
        ],
    ),
    "one_bit_adam": ONE_BIT,
    "one_bit_adam_gradients": [
        {},
        *FEW,
        {"warmup": 0.5, "schedule": SCHEDULE, "eps_inside": True},
        {"warmup_rounds": 7},
        {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3},
    ],
    "one_bit_adam_published": ONE_BIT,
}
"""Parameters beside name and lr, as a run configuration has them."""

PARAMETERS = [
    pytest.param(name, case, id=f"{name}-{index}")
    for name, cases in CASES.items()
    for index, case in enumerate(cases)
]


def own_methods() -> list[str]:
    return [name for name in registry if registry[name].__module__.startswith("wiregrad.methods.")]


def test_every_registered_method_has_a_twin() -> None:
    assert set(TWINS) == set(own_methods())
    assert set(CASES) == set(own_methods())


@pytest.mark.parametrize("name", own_methods())
def test_every_hyper_parameter_is_compared_away_from_its_default(name: str) -> None:
    base = {"name": name, "lr": 0.05}
    varied = {"lr"}  # has no default
    for case in CASES[name]:
        method = registry.build(base | case)
        varied |= {
            field.name
            for field in dataclasses.fields(method)
            if field.default is dataclasses.MISSING or getattr(method, field.name) != field.default
        }
    assert varied == {field.name for field in dataclasses.fields(registry[name])}


@pytest.mark.parametrize(("name", "case"), PARAMETERS)
def test_iterates_are_those_of_the_twin(
    drive: Callable[..., np.ndarray], name: str, case: dict
) -> None:
    compare(drive, name, {"lr": 0.05} | case, random_problem(seed=1, n=5))


@pytest.mark.parametrize("name", own_methods())
def test_iterates_are_those_of_the_twin_with_one_worker(
    drive: Callable[..., np.ndarray], name: str
) -> None:
    for case in (CASES[name][0], CASES[name][-1]):
        compare(drive, name, {"lr": 0.01} | case, random_problem(seed=2, n=1))


def compare(drive: Callable[..., np.ndarray], name: str, case: dict, problem: Logistic) -> None:
    long = name in FAMILY
    steps, tolerance = (FAMILY_STEPS, 1e-10) if long else (STEPS, 1e-9)
    expected = TWINS[name](problem, steps, **case)
    found = drive({"name": name} | case, problem, steps)
    assert expected.shape == (steps + 1, problem.d)
    assert np.abs(expected[-1]).max() > 1e-3  # it has moved
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
