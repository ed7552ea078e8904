"""Checks and pictures of stale and compressed gradients, on histories with known numbers."""

import math

import numpy as np
import pytest
from histories import card, history

from wiregrad.analysis.claims import catalogue as claims
from wiregrad.analysis.claims.spec import checks
from wiregrad.analysis.figures import catalogue as figures
from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import COLUMNS, GroupResult, Results
from wiregrad.analysis.results.derived import with_derived
from wiregrad.analysis.results.statistics import Verdict

assert claims  # it registers the checks
assert figures  # it registers the kinds

F_STAR = 0.5
ROWS = 41
"""Rows of each history, ten rounds apart."""


def theory(lr=0.1, alpha=2.0, tau=0, multiple=1.0, theorem="T2"):
    """μ = 1, L = 4 over two workers; f(x⁰) − f* = 1, ‖x⁰ − x*‖² = 2."""
    made_of = {"theorem": theorem, "multiple": multiple, "step": lr / multiple}
    about = {"alpha": alpha, "tau": tau, "each": [2.0, 2.0], "L": 4.0, "mu": 1.0, "stale": None}
    return made_of | about | {"f_star": F_STAR, "gap": 1.0, "distance2": 2.0, "sigma2": 0.1}


def made(entries):
    """Results of one experiment: (label, decay a row, floor, bits a round, lr, theory, data)."""
    frames, cards, ids = [], {}, {}
    for place, (label, decay, floor, bits, lr, facts, data) in enumerate(entries):
        loss = F_STAR + np.maximum(decay ** np.arange(ROWS), floor)
        run_id = f"n2-s1-{place}"
        config = {"method": {"lr": lr}, "runtime": {"workers": 2}, "problem": {"data": data}}
        cards.setdefault(label, []).append(card(1, config=config, theory=facts))
        ids.setdefault(label, []).append(run_id)
        about = {"paper": "toy", "experiment": "task", "label": label, "title": label.upper()}
        about |= {"workers": 2, "seed": 1, "run_id": run_id, "outcome": "completed"}
        frame = history(loss, bits_paper=bits).assign(grad_norm=loss - F_STAR, **about)
        frames.append(with_derived(frame)[COLUMNS])
    import pandas as pd

    groups = tuple(
        GroupResult("toy", "task", k, k.upper(), 1, cards=tuple(c), runs=tuple(ids[k]))
        for k, c in cards.items()
    )
    return Results("cpu", pd.concat(frames, ignore_index=True), groups, labels=tuple(cards))


def judged(name, results, **args):
    return checks.build({"name": name, "experiment": "task", **args}, "here").evaluate(results)


def delays(rounds):
    """One run a τ whose gradient takes so many rows to fall to a tenth."""
    return made(
        [
            ("late", 0.1 ** (1 / k), 0, 1, 0.1 / (1 + tau), theory(tau=tau), "d")
            for tau, k in rounds.items()
        ]
    )


def test_rounds_grow_where_each_delay_needs_more():
    args = {"methods": ["late"], "along": "theory.tau", "below": 0.1, "least": 2.0}
    found = judged("rounds_grow", delays({0: 4, 2: 8, 5: 16}), **args)
    assert (found.verdict, found.estimate.value) == (Verdict.REPRODUCED, pytest.approx(4))
    for other in ({0: 4, 2: 3, 5: 16}, {0: 4, 2: 5, 5: 6}):
        assert judged("rounds_grow", delays(other), **args).verdict is Verdict.NOT_REPRODUCED
    never = judged("rounds_grow", delays({0: 400, 2: 8}), **args)
    assert never.verdict is Verdict.INCONCLUSIVE
    slow = judged("rounds_grow", delays({0: 4, 2: 400}), **args)
    assert (slow.verdict, slow.estimate.value) == (Verdict.REPRODUCED, math.inf)


def test_delays_are_compared_whose_step_differs():
    """τ = 1 has the step of τ = 0 and needs fewer rounds, which contradicts nothing."""
    entries = [
        ("late", 0.1 ** (1 / rows), 0, 1, lr, theory(tau=tau), "d")
        for tau, rows, lr in ((0, 4, 0.1), (1, 2, 0.1), (5, 16, 0.02))
    ]
    args = {"methods": ["late"], "along": "theory.tau", "below": 0.1, "least": 2.0}
    found = judged("rounds_grow", made(entries), **args)
    assert (found.verdict, found.estimate.value) == (Verdict.REPRODUCED, pytest.approx(4))
    assert "1:" not in found.detail.split("by theory.tau: ")[1]
    alone = judged("rounds_grow", made(entries[:2]), **args)
    assert "same step" in alone.reason


def test_a_factor_within_five_percent_is_a_tie():
    entries = [("dense", 0.5, 0, 100, 0.1, theory(), "d"), ("few", 0.5, 0, 97, 0.1, theory(), "d")]
    found = judged("bits_to_gap", made(entries), methods=["few"], dense="dense", below=0.1)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "a tie within 5 %")


def test_bits_and_data_are_compared_at_the_same_gap():
    entries = [("dense", 0.5, 0, 100, 0.1, theory(), "slow_4k")]
    entries += [("dense", 0.25, 0, 100, 0.1, theory(), "quick_4k")]
    entries += [("few", 0.7, 0, 10, 0.1, theory(), "slow_4k")]
    entries += [("many", 0.7, 0, 90, 0.1, theory(), "slow_4k")]
    results = made(entries)
    fewer = judged("bits_to_gap", results, methods=["few"], dense="dense", below=0.1)
    assert fewer.verdict is Verdict.REPRODUCED
    more = judged("bits_to_gap", results, methods=["few", "many"], dense="dense", below=0.1)
    assert more.verdict is Verdict.NOT_REPRODUCED
    data = {"methods": ["dense"], "below": 0.1}
    found = judged("fewer_rounds_on", results, quick="quick", slow="slow", **data)
    assert (found.verdict, found.estimate.value) == (Verdict.REPRODUCED, pytest.approx(2))
    other = judged("fewer_rounds_on", results, quick="slow", slow="quick", **data)
    assert other.verdict is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(("power", "held"), [(1.0, True), (2.0, False)])
def test_floors_are_held_against_the_step(power, held):
    rates = (0.1, 0.05, 0.025)
    entries = [("q", 0.5, 0.1 * lr**power, 1, lr, theory(lr), "d") for lr in rates]
    found = judged("floor_slope", made(entries), methods=["q"], tolerance=0.25)
    assert found.estimate.value == pytest.approx(power)
    assert (found.verdict is Verdict.REPRODUCED) is held


def test_a_seed_counts_once_whatever_the_number_of_methods():
    rates = (0.1, 0.05, 0.025)
    entries = [(q, 0.5, 0.1 * lr, 1, lr, theory(lr), "d") for q in ("q", "r") for lr in rates]
    found = judged("floor_slope", made(entries), methods=["q", "r"], tolerance=0.25)
    assert (found.estimate.n, found.estimate.value) == (1, pytest.approx(1.0))


def test_a_run_above_its_bound_is_told():
    """T2 at γ = 0.1: half of L times (0.9^k 2 + floor) of the first gap."""
    floor = 2 * 0.1 * 1 * 0.1
    results = made([("q", 0.9**10, 0.0, 1, 0.1, theory(), "d")])
    (run,) = asynchrony.runs(results)
    whole, transient = asynchrony.stale_bound(run)
    np.testing.assert_allclose(whole, 2 * (2 * 0.9**run.steps + floor))
    assert asynchrony.guaranteed(run, 0.1) == pytest.approx(math.log(0.1 / 4) / math.log(0.9))
    np.testing.assert_allclose(transient, 4 * 0.9**run.steps)
    below = judged("below_stale_bound", results, methods=["q"])
    after = run.gaps[1:] / whole[1:]
    assert below.estimate.value == pytest.approx(after.max())  # x⁰ itself does not count
    assert (below.verdict, below.estimate.value <= 0.25) == (Verdict.REPRODUCED, True)
    above = made([("q", 0.99, 0.0, 1, 0.1, theory(), "d")])
    assert judged("below_stale_bound", above, methods=["q"]).verdict is Verdict.NOT_REPRODUCED
    beyond = made([("q", 0.99, 0.0, 1, 0.2, theory(0.2, multiple=2.0), "d")])
    assert judged("below_stale_bound", beyond, methods=["q"]).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("gap", {"bound": True}),
        ("rounds_by", {"below": 0.1}),
        ("step_by_delay", {"below": 0.1}),
    ],
)
def test_pictures_are_drawn_without_a_run_that_got_there(kind, more):
    entries = [("a", 0.5, 0, 9, 0.1, theory(), "d"), ("a", 0.99, 0, 9, 0.1, theory(tau=3), "d")]
    about = {"title": "t", "caption": "c", "experiment": "task"}
    figure, _ = figure_kinds.build({"kind": kind, **about, **more}, "here").draw(made(entries))
    assert sum(len(axis.lines) for axis in figure.axes) >= 2


def test_a_clock_shows_no_two_methods_in_one_colour():
    chosen = style.looks(["async_sgd_full", "b", "comp_ams_top_k", "d"], {"b": "blue"})
    assert chosen["b"].colour == chosen["comp_ams_top_k"].colour
    apart = style.distinct(chosen)
    assert len({look.colour for look in apart.values()}) == 4
    assert apart["b"] == chosen["b"]
    many = style.distinct(style.looks([f"m{i}" for i in range(12)]))
    assert len({look.colour for look in many.values()}) == len(style.COLOURS)
