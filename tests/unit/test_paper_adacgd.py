"""The configuration of AdaCGD's paper: every swept label has a step, every claim its labels."""

from pathlib import Path

import pytest

from wiregrad.analysis.claims import catalogue as claims
from wiregrad.analysis.figures import catalogue as figures
from wiregrad.analysis.tables import catalogue as tables
from wiregrad.methods import registry as methods
from wiregrad.studies.plan import load_plan
from wiregrad.studies.sweep.group import task_of
from wiregrad.studies.sweep.task import _axis, _parsed
from wiregrad.theory import Constants, step_size

CONFIG = Path(__file__).parents[2] / "config"
CONSTANTS = Constants(each=(1.0, 3.0), minus=1.5, mu=0.1)


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return load_plan(request.param, CONFIG, ["adacgd"])


def test_the_ends_of_every_grid_have_a_step(plan):
    groups = [group for group in plan.groups if not group.skip]
    assert groups
    for group in groups:
        task = task_of(group)
        for k in _axis(task, "k")[:: max(1, len(task.k) - 1)]:
            for zeta in _axis(task, "zeta")[:: max(1, len(task.zeta) - 1)]:
                method = _parsed(task, k, zeta).method
                step = step_size(method, CONSTANTS, n=20, d=300, regime=task.regime)
                assert 0 < step <= 1, (group.label, k, zeta)


def test_figures_tables_and_claims_name_what_there_is(plan):
    paper = plan.papers["adacgd"]
    assert tables.parse(paper)
    labels = {
        name: {g.label for g in plan.groups if g.experiment == name} for name in paper.experiments
    }
    base = load_plan("paper", CONFIG, ["adacgd"])
    whole = {
        name: {g.label for g in base.groups if g.experiment == name} for name in paper.experiments
    }
    for name, spec in figures.parse(paper).items():
        named = set(getattr(spec, "methods", ())) | {getattr(spec, "label", None)} - {None}
        assert named <= whole[spec.experiment], name
    for claim in claims.parse(paper):
        check = claim.build("adacgd")
        assert set(check.labels) <= whole[check.experiment], claim.id
        assert claim.why
        if plan.scale == "cpu" and not paper.experiments[check.experiment].skip:
            assert set(check.labels) <= labels[check.experiment], claim.id


def test_every_label_is_a_method():
    plan = load_plan("paper", CONFIG, ["adacgd"])
    for label in {group.label for group in plan.groups}:
        methods.build({**plan.methods[label].method, "lr": 1.0}, label)
