"""The configuration of asynchronous compressed gradients: delays, claims and steps."""

from pathlib import Path

import pytest

from wiregrad.analysis.claims import catalogue as claims
from wiregrad.core.errors import ConfigError
from wiregrad.studies import theory_step
from wiregrad.studies.plan import load_plan
from wiregrad.studies.run_configs import asked_of_theory

CONFIG = Path(__file__).parents[2] / "config"
PAPER = "async_compressed"


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return load_plan(request.param, CONFIG, [PAPER])


def test_steps_that_theory_gives_are_asked_for_as_multiples(plan):
    asked = [g.runs[-1].config for g in plan.groups if asked_of_theory(g.runs[-1].config)]
    assert asked
    assert all(set(config["method"]["lr"]) == {"theory", "multiple"} for config in asked)


def test_the_runs_of_a_grid_have_the_delays_it_names(plan):
    grid = plan.papers[PAPER].experiments["delays_phishing"].grid
    for group in plan.groups:
        if group.experiment == "delays_phishing":
            found = [run.config["runtime"]["delay"]["tau"] for run in group.runs]
            assert set(found) == set(grid["runtime.delay.tau"])
            assert len(set(found)) > 1


def test_the_claims_are_those_of_the_paper(plan):
    found = {claim.id[:2] for claim in claims.parse(plan.papers[PAPER])}
    assert found >= {"D1", "D2", "D3", "D4", "D5"}


STRONG = {
    "name": "logistic",
    "data": "generated_sparse_4k",
    "regulariser": "l2",
    "lam": 0.1,
    "objective": "sum",
}


def planned(method, runtime, source="exact", multiple=0.5, **problem):
    return {
        "problem": STRONG | problem,
        "method": method | {"lr": {"theory": source, "multiple": multiple}},
        "runtime": {"workers": 4} | runtime,
        "budget": {"steps": 3},
        "seed": 1,
    }


def test_steps_come_from_the_theorem_that_covers_the_run():
    ternary = {"name": "ternary"}
    simulated = {"name": "simulated"}
    late = {"name": "delayed", "delay": {"name": "constant", "tau": 3}}
    found = {}
    for name, runtime in (("q_gd", simulated), ("distributed_q_gd", simulated), ("q_iag", late)):
        config, theory = theory_step.resolved(
            planned({"name": name, "compressor": ternary}, runtime), "here"
        )
        assert config["method"]["lr"] == 0.5 * theory["step"]
        assert theory["alpha"] == 10  # sqrt(100)
        assert theory["sigma2"] > 0
        found[theory["theorem"]] = theory
    assert set(found) == {"T1", "T2", "T3"}
    one, two, three = (found[name] for name in ("T1", "T2", "T3"))
    assert one["step"] == pytest.approx(1 / (10 * one["L"]))
    assert two["step"] == pytest.approx(1 / (two["L"] + 18 * max(two["each"])))
    assert three["step"] < two["step"] / 10
    assert three["mu"] == pytest.approx(4 * 0.1)


def test_steps_from_conflicts_are_smaller_and_least_so_on_sparse_rows():
    method = {"name": "distributed_q_gd", "compressor": {"name": "identity"}}
    loss = {}
    for data in ("generated_dense_4k", "generated_sparse_4k"):
        steps = [
            theory_step.resolved(planned(method, {"name": "simulated"}, source, data=data), "here")
            for source in ("exact", "conflicts")
        ]
        exact, bounded = (theory["step"] for _, theory in steps)
        assert bounded < exact
        loss[data] = exact / bounded
    assert loss["generated_dense_4k"] > 2 * loss["generated_sparse_4k"]


def test_what_no_theorem_covers_is_refused():
    method = {"name": "distributed_q_gd", "compressor": {"name": "top_k", "k": 2}}
    with pytest.raises(ConfigError, match=r"here: lr.theory: top_k is not unbiased"):
        theory_step.resolved(planned(method, {"name": "simulated"}), "here")
    method = {"name": "async_sgd", "compressor": {"name": "identity"}}
    with pytest.raises(ConfigError, match=r"no theorem here covers async_sgd"):
        theory_step.resolved(planned(method, {"name": "simulated"}), "here")
    method = {"name": "distributed_q_gd", "compressor": {"name": "identity"}}
    with pytest.raises(ConfigError, match=r"distributed_q_gd on the runtime asynchronous"):
        theory_step.resolved(planned(method, {"name": "asynchronous"}), "here")
    with pytest.raises(ConfigError, match=r"no theorem here covers q_gd with delays"):
        theory_step.resolved(planned(method | {"name": "q_gd"}, {"name": "delayed"}), "here")
    late = {"name": "delayed", "delay": {"name": "constant", "tau": 3}}
    with pytest.raises(ConfigError, match=r"here: lr.theory: f is not strongly convex"):
        theory_step.resolved(planned(method, late, regulariser="none"), "here")
