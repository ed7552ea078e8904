"""Every method against its naive twin: each flag, each deterministic compressor, each blocking."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from twins import TWINS
from twins.problem import Logistic, random_problem

from wiregrad.methods import registry

STEPS = 60

TOP_K = {"name": "top_k", "k": 2}
RATIO = {"name": "top_k", "ratio": 0.3}
SIGN = {"name": "scaled_sign"}
SIGN_L2 = {"name": "scaled_sign", "norm": "l2"}
BLOCK_SIGN = {"name": "block_sign"}
IDENTITY = {"name": "identity"}
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
    {"warmup": 0.001, "lr": 0.001},  # v of one round is small, so steps are large
    *AMSGRAD,
    {"eps_inside": True},
]


def having(base: dict, cases: list[dict]) -> list[dict]:
    return [base | case for case in cases]


CASES: dict[str, list[dict]] = {
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
    "one_bit_adam": ONE_BIT,
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
    expected = TWINS[name](problem, STEPS, **case)
    found = drive({"name": name} | case, problem, STEPS)
    assert expected.shape == (STEPS + 1, problem.d)
    assert np.abs(expected[-1]).max() > 1e-3  # it has moved
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
