"""The search of a grid: interior, refined once, capped, and dependent on the scores alone."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiregrad.studies.search import Axis, search

RATES = (0.01, 0.1, 1.0)


def on_a_line(function, axis):
    """Search one axis; returns what was found, and the values in the order they were asked for."""
    asked = []

    def evaluate(points):
        asked.append([value for (value,) in points])
        found = [function(value) for (value,) in points]
        return [None if score is None else (score,) for score in found]

    return search([axis], evaluate), asked


def valley(at):
    """A score with its minimum at `at`, symmetric in the logarithm."""
    return lambda value: abs(math.log(value / at))


def test_a_best_inside_the_grid_is_refined_by_the_root_of_the_factor():
    found, asked = on_a_line(valley(0.12), Axis("lr", RATES, cap=9))
    assert asked == [[0.01, 0.1, 1.0], [0.0316228, 0.316228]]
    assert found.best == (0.1,)
    assert found.settled == {"lr": True}
    assert list(found.scores) == sorted(found.scores)


def test_a_refined_value_may_be_the_best_one():
    found, _ = on_a_line(valley(0.3), Axis("lr", RATES, cap=9))
    assert found.best == (0.316228,)
    assert found.settled == {"lr": True}


@pytest.mark.parametrize(("at", "beyond"), [(30.0, [10.0, 100.0]), (3e-4, [1e-3, 1e-4])])
def test_a_best_at_an_end_extends_the_grid_by_its_own_factor(at, beyond):
    found, asked = on_a_line(valley(at), Axis("lr", RATES, cap=12))
    assert [value for step in asked[1:-1] for value in step][: len(beyond)] == beyond
    assert found.settled == {"lr": True}
    assert abs(math.log10(found.best[0] / at)) <= 0.25


def test_each_end_has_a_factor_of_its_own():
    grid = (1.0, 2.0, 20.0)
    assert Axis("lr", grid).beyond(grid, up=True) == 200.0
    assert Axis("lr", grid).beyond(grid, up=False) == 0.5


def test_the_cap_counts_the_refinement_and_leaves_the_axis_unsettled():
    found, _ = on_a_line(lambda value: -value, Axis("lr", RATES, cap=7))
    assert found.values["lr"] == (0.01, 0.1, 1.0, 10.0, 100.0)  # two are kept for a refinement
    assert found.settled == {"lr": False}
    assert found.best == (100.0,)


def test_without_a_cap_the_grid_stays_as_it_is():
    for at, settled in ((0.1, True), (0.01, False), (5.0, False)):
        found, asked = on_a_line(valley(at), Axis("lr", RATES))
        assert asked == [list(RATES)]
        assert found.settled == {"lr": settled}


def test_a_single_value_is_fixed():
    found, asked = on_a_line(valley(7.0), Axis("lr", (1.0,), cap=9))
    assert asked == [[1.0]]
    assert found.settled == {"lr": True}


def test_equal_scores_extend_until_a_worse_one():
    def plateau(value):
        return 0.0 if 0.005 < value < 500 else 1.0

    found, _ = on_a_line(plateau, Axis("lr", RATES, cap=20))
    assert found.best == (0.01,)
    assert {0.001, 1000.0} < set(found.values["lr"])
    assert found.settled == {"lr": True}


def test_diverged_counts_as_worse_and_everything_diverged_extends_downwards():
    found, _ = on_a_line(lambda v: None if v > 0.5 else -v, Axis("lr", RATES, cap=9))
    assert (found.best, found.settled) == ((0.316228,), {"lr": True})

    found, _ = on_a_line(lambda v: None if v > 2e-4 else valley(1e-4)(v), Axis("lr", RATES, cap=9))
    assert (found.best, found.settled) == ((1e-4,), {"lr": True})

    found, _ = on_a_line(lambda _: None, Axis("lr", RATES, cap=9))
    assert (found.best, found.settled) == (None, {"lr": False})
    assert min(found.values["lr"]) == 1e-6


def test_natural_ends_are_settled_and_whole_numbers_stay_whole():
    axis = Axis("k", (2.0, 8.0, 32.0), cap=12, low=1, high=50, whole=True)
    most, _ = on_a_line(lambda k: -k, axis)
    assert most.values["k"] == (2.0, 8.0, 32.0, 40.0, 50.0)
    assert (most.best, most.settled) == ((50.0,), {"k": True})
    least, _ = on_a_line(lambda k: k, axis)
    assert least.values["k"] == (1.0, 2.0, 8.0, 32.0)
    assert (least.best, least.settled) == ((1.0,), {"k": True})


def test_whole_numbers_move_by_one_at_least():
    axis = Axis("k", (8.0, 9.0, 10.0), cap=30, low=1, whole=True)
    found, _ = on_a_line(lambda k: abs(k - 13), axis)
    assert (found.best, found.settled) == ((13.0,), {"k": True})


def test_zero_is_a_natural_end_below_which_positive_values_grow_towards_it():
    axis = Axis("zeta", (0.0, 1.0, 2.0), cap=12)
    found, _ = on_a_line(lambda zeta: 5 + zeta if zeta else 1.0, axis)
    assert (found.best, found.settled) == ((0.0,), {"zeta": True})
    assert found.values["zeta"] == (0.0, 1.0, 2.0)
    found, _ = on_a_line(lambda zeta: valley(0.2)(zeta) if zeta else 9.0, axis)
    assert found.settled == {"zeta": True}
    assert {0.25, 0.125} < set(found.values["zeta"])


def test_axes_grow_together_and_all_combinations_are_scored():
    axes = [Axis("lr", (1.0, 2.0), cap=9), Axis("k", (4.0, 8.0), cap=9), Axis("n", (3.0,), cap=9)]

    def evaluate(points):
        return [(abs(math.log(lr * k / 64)) + abs(math.log(k / 20)), n) for lr, k, n in points]

    found = search(axes, evaluate)
    assert found.settled == {"lr": True, "k": True, "n": True}
    assert set(found.scores) == set(itertools.product(*found.values.values()))
    lr, k, _ = found.best
    assert abs(math.log2(k / 20)) <= 0.5
    assert abs(math.log2(lr * k / 64)) <= 0.75


@given(
    at=st.floats(1e-6, 1e6),
    factor=st.floats(1.5, 10),
    points=st.integers(2, 6),
    cap=st.integers(8, 40),
)
def test_of_a_valley_the_minimum_is_within_half_a_factor(at, factor, points, cap):
    grid = tuple(float(f"{factor**power:.6g}") for power in range(points))
    found, asked = on_a_line(valley(at), Axis("lr", grid, cap=cap))
    tried = found.values["lr"]
    assert len(tried) <= cap
    assert len(found.scores) == sum(map(len, asked)) == len(tried)  # none is scored twice
    if found.settled["lr"]:
        place = tried.index(found.best[0])
        assert 0 < place < len(tried) - 1
        assert abs(math.log(found.best[0] / at)) <= math.log(factor) / 4 + 1e-3
    else:
        assert len(tried) == cap - 2


@given(scores=st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=24, max_size=24))
def test_whatever_the_scores_settled_means_worse_neighbours(scores):
    """Ties and diverged runs included; the search asks again for nothing, and ends."""
    table = {}

    def function(value):
        return table.setdefault(value, scores[len(table) % len(scores)])

    axis = Axis("lr", RATES, cap=15)
    found, _ = on_a_line(function, axis)
    again, _ = on_a_line(table.get, axis)
    assert again == found  # from scores that are known already
    assert len(table) <= 15
    values = list(found.values["lr"])
    valued = {v: math.inf if table[v] is None else table[v] for v in values}
    lowest = min(valued.values())
    best = [v for v in values if valued[v] == lowest]
    assert found.best == (None if math.isinf(lowest) else (best[0],))
    inside = valued[values[0]] > lowest and valued[values[-1]] > lowest
    assert found.settled["lr"] == inside


def test_a_search_needs_no_torch():
    code = "import sys, wiregrad.studies.search; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
