"""The configurations of CD-Adam and Efficient-Adam: runs are valid, claims have their labels."""

from functools import cache
from pathlib import Path

import pytest

from wiregrad.analysis import claims, figures, tables
from wiregrad.config import RunConfig
from wiregrad.plan import TUNED, load_plan

CONFIG = Path(__file__).parents[2] / "config"
PAPERS = ["cd_adam", "efficient_adam"]


@cache
def loaded(scale):
    return load_plan(scale, CONFIG, PAPERS)


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return loaded(request.param)


def test_every_run_is_valid(plan):
    groups = [group for group in plan.groups if not group.skip]
    assert {group.paper for group in groups} == set(PAPERS)
    for group in groups:
        ends = {run.run_id: run for run in (group.runs[0], group.runs[-1])}
        for run in [*ends.values(), *(run for _, run in group.tuning_runs[:1])]:
            lr = 0.1 if run.config["method"]["lr"] == TUNED else run.config["method"]["lr"]
            config = run.config | {"method": run.config["method"] | {"lr": lr}}
            where = f"{group.experiment}/{group.label}"
            assert RunConfig.parse(config, where).log.convention == group.paper


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
            assert named <= full[name, figure.experiment], key
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
