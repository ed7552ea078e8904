"""The configurations of CD-Adam, Efficient-Adam and the arena: tuning points and methods."""

from functools import cache
from pathlib import Path

import pytest

from wiregrad.methods import registry as methods
from wiregrad.studies.plan import load_plan

CONFIG = Path(__file__).parents[2] / "config"
PAPERS = ["cd_adam", "efficient_adam", "arena"]


@cache
def loaded(scale):
    return load_plan(scale, CONFIG, PAPERS)


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return loaded(request.param)


def test_every_paper_is_run_at_every_scale(plan):
    assert {group.paper for group in plan.groups if not group.skip} == set(PAPERS)


def test_every_method_of_an_experiment_has_as_many_tuning_points(plan):
    for group in plan.groups:
        if group.tuning is not None and not group.skip:
            rates = group.axes[0]
            assert len(rates.grid) == 4
            assert rates.cap == group.tuning.cap


def test_the_arena_has_every_method_that_runs_on_any_task_in_step():
    used = {g.entry.method["name"] for g in loaded("paper").groups if g.paper == "arena"}
    theirs = {"async_sgd", "async_ef_sgd", "q_gd", "distributed_q_gd", "q_iag"}  # asynchronous
    ours = {name for name in methods if methods[name].__module__.startswith("wiregrad.methods.")}
    assert ours - used == theirs | {"lag_ps"}
