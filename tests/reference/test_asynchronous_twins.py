"""Methods on the asynchronous runtime against a naive server that hears one worker at a time."""

import numpy as np
import pytest
import torch
from twins.asynchronous import arriving
from twins.problem import Logistic, random_problem

from wiregrad.comm.accounting import convention
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry
from wiregrad.methods.base import Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.settings import registry as runtimes

RUNTIME = {
    "name": "asynchronous",
    "workers": 5,
    "compute": {"name": "lognormal", "sigma": 0.7, "slowdown": [1, 1, 4]},
    "link": {"latency": 0.01, "bandwidth": 1e4},
    "staleness": {"bound": 12},
}
LR = {"q_iag": 0.02, "ef21": 0.1, "async_sgd": 0.1, "async_ef_sgd": 0.1}
STEPS = 150


@pytest.mark.parametrize("compressor", [{"name": "top_k", "k": 2}, {"name": "scaled_sign"}])
@pytest.mark.parametrize(
    "name", ["async_sgd", "async_ef_sgd", "q_iag", "comp_ams", "ef21", "efficient_adam"]
)
def test_iterates_are_those_of_a_server_that_applies_on_arrival(
    twin_problem: type[Problem], name: str, compressor: dict
) -> None:
    twin: Logistic = random_problem(seed=1, n=5)
    lr = LR.get(name, 0.01)
    spec = {"name": name, "lr": lr, "compressor": compressor, "blocks": "whole"}
    if name == "efficient_adam":
        spec["server_compressor"] = compressor
    runtime = runtimes.build(RUNTIME).build(
        twin_problem(twin), registry.build(spec), Seeds(0), convention("formula")
    )
    found, arrivals = [runtime.x.numpy().copy()], []
    for t in range(1, STEPS + 1):
        runtime.round(Step(t, STEPS, lr), measure=False)
        found.append(runtime.x.numpy().copy())
        arrivals += [(each.worker, each.staleness) for each in runtime.applied()]
    assert max(staleness for _, staleness in arrivals) > 5
    expected = arriving(name, twin, arrivals, lr, compressor)
    assert np.abs(expected[-1]).max() > 1e-2
    assert torch.isfinite(runtime.x).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
