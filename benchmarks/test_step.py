"""A whole step of 16 workers, sign with error feedback; naive_step.py defines both sides."""

from __future__ import annotations

import pytest

import naive_step
from ratios import Goal, Row
from wiregrad import data
from wiregrad.core.errors import DataUnavailable

GROUP = "A whole step"
GOALS = {"mnist_cnn": ("MNIST CNN", Goal(1.8, 2.5)), "cifar_lenet": ("LeNet", Goal(1.3, 1.6))}


@pytest.mark.parametrize("problem", GOALS)
def test_step(problem: str, table: list[Row], quick: bool) -> None:
    try:
        data.load(naive_step.DATA[problem])
    except DataUnavailable as error:
        pytest.skip(str(error))
    title, goal = GOALS[problem]
    found = naive_step.compare(problem, *((1, 1) if quick else ()))
    detail = f"ours {found.wiregrad:.3g} ms, naive {found.naive:.3g} ms"
    table.append(Row(GROUP, f"step, {title}", "naive loop", found.ratio, "×", detail, goal))
    share = Goal(0.10, 0.03, at_most=True)
    detail = f"gradients {found.gradients:.3g} of {found.wiregrad:.3g} ms"
    what = f"compression, server, optimiser, {title}"
    table.append(Row(GROUP, what, "share of the step", found.overhead, "%", detail, share))
