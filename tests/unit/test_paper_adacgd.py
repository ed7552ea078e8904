"""The configuration of AdaCGD's paper: every swept label has a step."""

from pathlib import Path

import pytest

from wiregrad.studies.plan import load_plan
from wiregrad.studies.sweep.group import task_of
from wiregrad.studies.sweep.task import axis_values, parsed_run
from wiregrad.theory.constants import Constants
from wiregrad.theory.steps import step_size

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
        for k in axis_values(task, "k")[:: max(1, len(task.k) - 1)]:
            for zeta in axis_values(task, "zeta")[:: max(1, len(task.zeta) - 1)]:
                method = parsed_run(task, k, zeta).method
                step = step_size(method, CONSTANTS, n=20, d=300, regime=task.regime)
                assert 0 < step <= 1, (group.label, k, zeta)
