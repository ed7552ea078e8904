"""Verdicts on claims: effect and interval, budget, missing data, divergence, configuration."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import histories
import pytest
from histories import history

from wiregrad.analysis.claims import catalogue, judge, render
from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.judge import Judged
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.core.errors import ConfigError
from wiregrad.studies.files import TuningResult
from wiregrad.studies.plan import load_plan
from wiregrad.studies.schema import Paper

ROOT = Path(__file__).parents[2]


def judged(results: Results, **entry: Any) -> Judged:
    """The verdict on a claim that asks for no number of seeds and no tuning, unless it says so."""
    about = {"id": "c", "statement": "s", "where": "w", "paper_value": "p"}
    about |= {"seeds": "deterministic", "rates": "given"}
    claim = Claim.model_validate(about | entry)
    return judge.judge(claim, "toy", results)


def two(left: list[float], right: list[float], **over: Any) -> Results:
    """Final accuracies (in %) of the methods a and b, one a seed."""

    def runs(values: list[float]) -> list[Any]:
        return [history([1.0, 0.5], accuracy=[0.1, v / 100]) for v in values]

    return histories.results({("a", 4): runs(left), ("b", 4): runs(right)}, **over)


NEAR = {
    "check": "within",
    "args": {"experiment": "task", "left": "a", "right": "b"},
    "tolerance": 0.2,
}
HIGHER = {
    "check": "better",
    "args": {"experiment": "task", "better": ["a"], "worse": ["b"], "metric": "accuracy"},
}


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        ([98.90, 98.80, 98.70], [98.88, 98.79, 98.66], Verdict.REPRODUCED),
        ([98.90, 98.80, 98.70], [97.90, 97.81, 97.69], Verdict.NOT_REPRODUCED),
        ([98.90, 98.80, 98.70], [98.50, 98.90, 98.70], Verdict.INCONCLUSIVE),
    ],
)
def test_within(left, right, verdict):
    row = judged(two(left, right), **NEAR)
    assert row.verdict == verdict
    assert (row.seeds, row.unit) == (3, "points")
    assert row.effect == pytest.approx(sum(left) / 3 - sum(right) / 3)
    assert row.low < row.effect < row.high


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        ([98.9, 98.8, 98.7], [98.1, 98.1, 97.9], Verdict.REPRODUCED),
        ([98.1, 98.1, 97.9], [98.9, 98.8, 98.7], Verdict.NOT_REPRODUCED),
        ([98.9, 98.8, 98.7], [98.8, 98.9, 98.7], Verdict.INCONCLUSIVE),
    ],
)
def test_better_accuracy_is_higher(left, right, verdict):
    assert judged(two(left, right), **HIGHER).verdict == verdict


def losses(**values: list[float]) -> Results:
    return histories.results(
        {(label, 4): [history([2.0, v]) for v in finals] for label, finals in values.items()}
    )


def test_better_loss_is_lower_and_the_closest_pair_is_shown():
    found = losses(a=[0.10, 0.11, 0.12], b=[0.20, 0.21, 0.22], c=[0.15, 0.16, 0.171])
    args = {"experiment": "task", "better": ["a"], "worse": ["b", "c"]}
    row = judged(found, check="better", args=args)
    assert row.verdict == Verdict.REPRODUCED
    assert row.effect == pytest.approx(0.05 + 0.001 / 3)
    assert judged(found, check="better", args=args, tolerance=0.06).verdict != Verdict.REPRODUCED


def test_one_wrong_pair_is_enough_to_refute_an_order():
    found = losses(a=[0.10, 0.11, 0.12], b=[0.20, 0.21, 0.22], c=[0.01, 0.02, 0.031])
    args = {"experiment": "task", "better": ["a"], "worse": ["b", "c"]}
    assert judged(found, check="better", args=args).verdict == Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(("factor", "verdict"), [(1.9, "reproduced"), (2.1, "not reproduced")])
def test_a_ratio_is_compared_with_its_tolerance(factor, verdict):
    found = losses(a=[0.10, 0.20, 0.31], b=[0.20, 0.40, 0.621])
    args = {"experiment": "task", "better": ["a"], "worse": ["b"], "ratio": True}
    row = judged(found, check="better", args=args, tolerance=factor)
    assert (row.verdict, row.unit) == (verdict, "×")
    assert row.effect == pytest.approx(2.0, abs=0.01)


def test_a_value_along_the_run():
    found = histories.results(
        {
            ("a", 4): [history([2.0, 0.5 + s, 0.1]) for s in (0.0, 0.01)],
            ("b", 4): [history([2.0, 1.5 + s, 0.1]) for s in (0.0, 0.0101)],
        }
    )
    args = {"experiment": "task", "better": ["a"], "worse": ["b"], "at": {"epoch": 1}}
    assert judged(found, check="better", args=args).verdict == Verdict.REPRODUCED
    late = args | {"at": {"epoch": 9}}
    row = judged(found, check="better", args=late)
    assert (row.verdict, row.seeds) == (Verdict.INCONCLUSIVE, 0)


def test_one_seed_is_inconclusive_and_says_so():
    row = judged(two([98.9], [98.0]), **HIGHER)
    assert (row.verdict, row.seeds) == (Verdict.INCONCLUSIVE, 1)
    assert "one seed" in row.reason


def test_a_method_that_always_diverges_loses():
    every = [("b", 1), ("b", 2), ("b", 3)]
    values = ([98.9, 98.8, 98.7], [98.9, 98.8, 98.7])
    assert judged(two(*values, diverged=every), **HIGHER).verdict == Verdict.REPRODUCED
    lost = [("a", seed) for _, seed in every]
    assert judged(two(*values, diverged=lost), **HIGHER).verdict == Verdict.NOT_REPRODUCED
    assert judged(two(*values, diverged=lost), **NEAR).verdict == Verdict.NOT_REPRODUCED


def test_a_method_that_sometimes_diverges_leaves_it_open():
    row = judged(two([98.9, 98.8, 98.7], [90.0, 90.1, 90.2], diverged=[("b", 2)]), **HIGHER)
    assert row.verdict == Verdict.INCONCLUSIVE
    assert "diverged" in row.reason
    assert row.seeds == 2


def test_a_smaller_budget_is_shown_but_gives_no_verdict():
    found = two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9])
    row = judged(found, **HIGHER, budget={"epochs": 20})
    assert row.verdict == Verdict.NOT_TESTED
    assert row.reason == "1 of the paper's 20 epochs"
    assert row.effect > 0
    assert judged(found, **HIGHER, budget={"epochs": 1}).verdict == Verdict.REPRODUCED


def test_a_part_of_the_data_is_a_smaller_budget():
    found = two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9])  # 1,000 samples an epoch
    row = judged(found, **HIGHER, budget={"epochs": 1, "samples": 60000})
    assert row.verdict == Verdict.NOT_TESTED
    assert row.reason == "1,000 of the paper's 60,000 samples"


def test_a_dropped_last_batch_is_no_smaller_budget():
    found = two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9])
    assert judged(found, **HIGHER, budget={"samples": 1004}).verdict == Verdict.REPRODUCED
    assert judged(found, **HIGHER, budget={"samples": 1010}).verdict == Verdict.NOT_TESTED


def test_scales_where_a_claim_is_not_testable():
    found = two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9], scale="smoke")
    row = judged(found, **HIGHER, scales=["paper"], otherwise="needs a GPU")
    assert (row.verdict, row.reason) == (Verdict.NOT_TESTED, "needs a GPU")


def test_missing_runs_carry_their_reason():
    found = histories.results({("a", 4): [history([1.0])]}, reasons={"b": "no data: b is gone"})
    row = judged(found, **HIGHER)
    assert row.verdict == Verdict.NOT_TESTED
    assert row.reason == "b: not run: no data: b is gone"
    other = HIGHER["args"] | {"experiment": "unheard"}
    absent = judged(found, check="better", args=other)
    assert "'unheard' is not part of scale cpu" in absent.reason


def test_bits_are_compared_in_both_conventions_at_the_last_common_step():
    dense = [history([1.0] * 4, bits_paper=32000, bits_wire=32160)] * 2
    sparse = [history([1.0] * 3, bits_paper=320, bits_wire=670)] * 2
    found = histories.results({("a", 4): dense, ("b", 4): sparse})
    args = {"experiment": "task", "dense": "a", "compressed": "b", "expected": 100}
    row = judged(found, check="bits_ratio", args=args, tolerance=0.01)
    assert (row.verdict, row.effect) == (Verdict.REPRODUCED, 100.0)
    assert row.detail == "100.0× in the paper's convention, 48.0× on the wire"
    wire = judged(found, check="bits_ratio", args=args | {"convention": "wire"}, tolerance=0.01)
    assert (wire.verdict, wire.effect) == (Verdict.NOT_REPRODUCED, 48.0)


def test_bits_need_one_seed_only_and_no_budget():
    runs = {
        ("a", 4): [history([1.0] * 2, bits_paper=32000)],
        ("b", 4): [history([1.0] * 2, bits_paper=1000)],
    }
    args = {"experiment": "task", "dense": "a", "compressed": "b", "expected": 32}
    row = judged(histories.results(runs, scale="smoke"), check="bits_ratio", args=args)
    assert row.verdict == Verdict.REPRODUCED


def speedup(power: float, rows: int = 200) -> Results:
    """Train loss falls in a line and is 0.5 after c n^power rounds, at least 50 of them."""
    c = 50 / min(2**power, 16**power)
    runs = {}
    for n in (2, 4, 8, 16):
        losses = [
            [max(1.0 - 10 * row / (2 * c * n**power * wobble), 0.01) for row in range(rows)]
            for wobble in (1.0, 1.02, 0.99)
        ]
        runs["m", n] = [history(loss) for loss in losses]
    return histories.results(runs)


SPEED = {
    "check": "speedup",
    "args": {
        "experiment": "task",
        "label": "m",
        "target": 0.5,
        "paper_points": {2: 900, 4: 400, 8: 200, 16: 100},
    },
    "tolerance": 0.25,
}


@pytest.mark.parametrize(
    ("power", "verdict"),
    [(-1.0, "reproduced"), (-0.8, "reproduced"), (-0.5, "not reproduced"), (1.0, "not reproduced")],
)
def test_speedup_is_judged_by_its_slope(power, verdict):
    row = judged(speedup(power), **SPEED)
    assert (row.verdict, row.unit, row.seeds) == (verdict, "slope", 3)
    assert row.effect == pytest.approx(power, abs=1e-9)


def test_a_target_that_is_missed_in_short_runs_is_not_tested():
    found = speedup(1.0, rows=40)  # 390 rounds, of which n = 16 would need 400
    missed_by_16 = judged(found, **SPEED)
    assert missed_by_16.verdict == Verdict.INCONCLUSIVE  # longer than the paper's 100 at n = 16
    assert "not reached in" in missed_by_16.reason
    slow = copy.deepcopy(SPEED)
    slow["args"]["paper_points"] = {16: 500}
    assert judged(found, **slow).verdict == Verdict.NOT_TESTED


def test_several_numbers_of_workers_must_be_told_apart():
    runs = {("a", 2): [history([1.0, 0.5])], ("a", 4): [history([1.0, 0.5])]}
    found = histories.results(runs | {("b", 4): [history([1.0, 0.6])]})
    with pytest.raises(ConfigError, match=r"args\.workers"):
        judged(found, **NEAR)
    chosen = NEAR | {"args": NEAR["args"] | {"workers": 4, "metric": "train_loss"}}
    assert judged(found, **chosen).effect == pytest.approx(-0.1)


def test_verdicts_do_not_depend_on_the_clock():
    found = two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9])
    before = judged(found, **HIGHER)
    for group in found.groups:
        for card in group.cards:
            card.wall_seconds *= 1000
    assert judged(found, **HIGHER) == before


CLEAR = ([98.9, 98.8, 98.7], [98.1, 98.1, 97.9])


def tuned(results: Results, **edges: bool) -> Results:
    """The results with a tuning of each label; `edges` says whose best rate is at the edge."""
    about = {"grid": (0.01, 0.1, 1.0), "metric": "loss_valid", "seeds": (9,), "budget": {}}

    def tuning(edge: bool) -> TuningResult:
        return TuningResult(**about, scores={}, best=0.01 if edge else 0.1, edge=edge)

    groups = tuple(replace(g, tuning=tuning(edges.get(g.label, False))) for g in results.groups)
    return replace(results, groups=groups)


@pytest.mark.parametrize("sides", [CLEAR, CLEAR[::-1]])
def test_an_unsettled_tuning_decides_nothing(sides):
    claim = HIGHER | {"rates": "tuned"}
    row = judged(tuned(two(*sides), b=True), **claim)
    assert row.verdict == Verdict.UNSETTLED
    assert row.reason == "B: best rate 0.01 at the edge of the grid"
    assert judged(two(*sides), **claim).reason == "A: not tuned; B: not tuned"
    assert judged(tuned(two(*sides)), **claim).verdict in {"reproduced", "not reproduced"}
    assert judged(two(*sides), **claim, kind="identity").verdict != Verdict.UNSETTLED


def test_a_verdict_takes_the_seeds_that_its_claim_asks_for():
    found = two(*CLEAR)
    row = judged(found, **HIGHER, seeds=4)
    assert row.verdict == Verdict.INCONCLUSIVE
    assert row.reason == "3 of the 4 seeds that a verdict takes; they speak for the claim"
    assert judged(found, **HIGHER, seeds=3).verdict == Verdict.REPRODUCED
    against = judged(two(*CLEAR[::-1]), **HIGHER, seeds=3)
    assert against.reason.startswith("3 of the 5 seeds")
    assert against.reason.endswith("they speak against the claim")
    assert judged(found, **HIGHER, seeds=20, kind="bound").verdict == Verdict.REPRODUCED


def test_equality_at_chance_is_no_equality():
    low, high = [10.0, 10.02, 9.98], [10.01, 10.0, 9.99]
    near = NEAR | {"args": NEAR["args"] | {"chance": 10}}
    row = judged(two(low, high), **near)
    assert (row.verdict, row.reason) == (
        Verdict.INCONCLUSIVE,
        "A is not clearly better than chance (10)",
    )
    above = judged(two([98.9, 98.8, 98.7], [98.88, 98.79, 98.66]), **near)
    assert above.verdict == Verdict.REPRODUCED
    far = judged(two([98.9, 98.8, 98.7], low), **near)
    assert far.verdict == Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(("arm", "verdict"), [(0.0, "inconclusive"), (-5.0, "reproduced")])
def test_equality_counts_where_the_arm_that_should_fail_does(arm, verdict):
    def runs(values):
        return [history([1.0, 0.5], accuracy=[0.1, v / 100]) for v in values]

    left, right = [98.90, 98.80, 98.70], [98.88, 98.79, 98.66]
    sides = {"a": left, "b": right, "bare": [v + arm + 0.01 * i for i, v in enumerate(left)]}
    found = histories.results({(label, 4): runs(values) for label, values in sides.items()})
    near = NEAR | {"args": NEAR["args"] | {"sensitivity": "bare"}}
    assert judged(found, **near).verdict == verdict


def test_a_claim_says_whose_setting_it_tests():
    row = judged(two(*CLEAR), **HIGHER, setting="ours")
    assert (row.verdict, row.reads) == ("reproduced", "holds in our setting")
    against = judged(two(*CLEAR[::-1]), **HIGHER, setting="ours")
    assert against.reads == "does not hold in our setting"
    assert judged(two(*CLEAR), **HIGHER).reads == "reproduced"
    part = judged(two(*CLEAR), **HIGHER, budget={"epochs": 2, "samples": 1500, "least": 0.5})
    assert part.reads == "reproduced, at 1 of 2 epochs"
    short = judged(two(*CLEAR), **HIGHER, budget={"epochs": 2, "samples": 3000, "least": 0.5})
    assert (short.reads, short.reason) == (
        "not tested at this scale",
        "1,000 of the paper's 3,000 samples",
    )


def test_the_kinds_of_claims_are_counted_apart():
    base = judged(two(*CLEAR), **HIGHER)
    rows = [base, replace(base, setting="ours"), replace(base, setting="ours")]
    rows += [replace(base, kind="bound"), replace(base, kind="own", verdict="inconclusive")]
    assert render.summary(rows).startswith(
        "5 claims: 1 reproduced, 2 hold in our setting. Apart from these, 1 bounds: 1 reproduced; "
        "1 claims of ours: 1 inconclusive."
    )


def test_the_empirical_claims_of_a_paper_are_corrected_together():
    base = judged(two(*CLEAR), **HIGHER)
    weak = replace(base, p=0.03)
    assert [row.verdict for row in judge.corrected([weak])] == ["reproduced"]
    rows = judge.corrected([weak, replace(base, p=0.2, verdict="inconclusive")])
    assert [row.verdict for row in rows] == ["inconclusive", "inconclusive"]
    assert rows[0].reason == "p = 0.03: not significant among 2 tests of the paper"
    for other in ({"kind": "own"}, {"p": math.nan}, {"verdict": "not tested at this scale"}):
        beside = replace(base, p=0.2, verdict="inconclusive")
        assert judge.corrected([weak, replace(beside, **other)])[0].verdict == "reproduced"


def test_two_papers_share_no_name_of_claims():
    paper = Paper.model_validate(histories.PAPER)
    other = paper.model_copy(update={"paper": "other", "claims": paper.claims[:1]})
    with pytest.raises(ConfigError, match="'near' is the name of claims of toy"):
        catalogue.parse_all({"toy": paper, "other": other})


def parse(**change: Any) -> list[Claim]:
    paper = copy.deepcopy(histories.PAPER)
    paper["claims"][0] |= change
    return catalogue.parse(Paper.model_validate(paper))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"check": "withn"},
            r"claims\.near\.check: 'withn' is no check; did you mean 'within'\? .*better",
        ),
        ({"args": {"experiment": "task", "left": "dense"}}, r"claims\.near\.args\.right"),
        (
            {"args": {"experiment": "no", "left": "dense", "right": "sparse"}},
            r"claims\.near\.args\.experiment: 'no' is no experiment \(known: task",
        ),
        (
            {"args": {"experiment": "task", "left": "a", "right": "b", "tolerance": 1}},
            r"tolerance: belongs to the claim",
        ),
        ({"tolerence": 1}, r"claims\.near: tolerence: unknown key; did you mean 'tolerance'"),
        ({"budget": {"hours": 1}}, r"claims\.near: budget\.hours: unknown key"),
        ({"id": "cheap"}, r"id 'cheap' is used twice"),
    ],
)
def test_a_wrong_claim_is_one_clear_line(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(**change)
    assert "config/papers/toy: claims" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_label_is_an_error_and_not_a_gap(tmp_path):
    paper = copy.deepcopy(histories.PAPER)
    paper["claims"][0]["args"]["left"] = "dens"
    plan = load_plan("cpu", histories.config_dir(tmp_path, paper), results=tmp_path)
    with pytest.raises(ConfigError, match="unknown label 'dens'"):
        judge.judge_all(plan, histories.results({("a", 4): [history([1.0])]}))


@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_the_claims_of_comp_ams_are_all_written_down(scale, tmp_path):
    plan = load_plan(scale, ROOT / "config", ["comp_ams"], tmp_path)
    found = catalogue.parse(plan.papers["comp_ams"])
    assert {claim.id.split("-")[0] for claim in found} == {f"A{i}" for i in range(1, 8)}
    for claim in found:
        assert set(claim.build("comp_ams").labels) <= set(plan.methods)
        assert claim.tolerance == 0 or claim.why, claim.id


def test_what_is_written_names_every_claim(tmp_path):
    row = judged(two([98.9, 98.8, 98.7], [98.1, 98.1, 97.9]), **HIGHER)
    paths = render.write([row], "cpu", tmp_path)
    assert [path.name for path in paths] == ["claims.csv", "claims.md", "claims.json"]
    assert "1 claims: 1 reproduced. Tested: c." in paths[1].read_text()
    assert paths[0].read_text().splitlines()[1].startswith("toy,c,s,w,p,reproduced,0.7")
