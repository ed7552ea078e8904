"""The configurations of CD-Adam, Efficient-Adam and the arena: valid runs, claims with labels."""

from functools import cache
from pathlib import Path

import pytest

from wiregrad.analysis.claims import catalogue as claims
from wiregrad.analysis.figures import catalogue as figures
from wiregrad.analysis.tables import catalogue as tables
from wiregrad.methods import registry as methods
from wiregrad.runs.config import RunConfig
from wiregrad.studies.plan import TUNED, load_plan

CONFIG = Path(__file__).parents[2] / "config"
PAPERS = ["cd_adam", "efficient_adam", "arena"]


@cache
def loaded(scale):
    return load_plan(scale, CONFIG, PAPERS)


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return loaded(request.param)


def test_every_run_is_valid(plan):
    groups = [group for group in plan.groups if not group.skip]
    assert {group.paper for group in groups} == set(PAPERS)
    seen = set()
    for group in groups:
        for part in ((group.paper, group.experiment), group.label):
            if part in seen:  # each task once, and each method once
                continue
            seen |= {(group.paper, group.experiment), group.label}
            run = group.runs[-1].config
            lr = 0.1 if run["method"]["lr"] == TUNED else run["method"]["lr"]
            config = run | {"method": run["method"] | {"lr": lr}}
            where = f"{group.experiment}/{group.label}"
            convention = "formula" if group.paper == "arena" else group.paper
            assert RunConfig.parse(config, where).log.convention == convention


def labels_of(plan):
    found = {}
    for group in plan.groups:
        found.setdefault((group.paper, group.experiment), set()).add(group.label)
    return found


def test_figures_tables_and_claims_name_what_there_is(plan):
    here, full = labels_of(plan), labels_of(loaded("paper"))
    for name, paper in plan.papers.items():
        for key, figure in figures.parse(paper).items():
            named = {*getattr(figure, "methods", ()), *getattr(figure, "emphasise", ())}
            assert all(named <= full[name, experiment] for experiment in figure.reads), key
        assert tables.parse(paper)
        for claim in claims.parse(paper):
            check = claim.build(name)
            if plan.scale != "smoke":  # there methods are left out, and the verdict says so
                assert set(check.labels) <= here[name, check.experiment], claim.id
            assert claim.tolerance == 0 or claim.why, claim.id


def test_every_method_of_an_experiment_has_as_many_tuning_points(plan):
    for group in plan.groups:
        if group.tuning is not None and not group.skip:
            assert len(group.tuning_runs) == 4 * len(group.tuning.seeds)


def test_the_arena_has_every_method_that_runs_on_any_task_in_step():
    used = {g.entry.method["name"] for g in loaded("paper").groups if g.paper == "arena"}
    theirs = {"async_sgd", "async_ef_sgd", "q_gd", "distributed_q_gd", "q_iag"}  # asynchronous
    ours = {name for name in methods if methods[name].__module__.startswith("wiregrad.methods.")}
    assert ours - used == theirs | {"lag_ps"}
