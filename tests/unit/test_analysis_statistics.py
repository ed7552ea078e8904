"""Intervals cover what they claim to, and verdicts change exactly at their borders."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.statistics import Estimate, Verdict

REAL = st.floats(-1e3, 1e3)


def coverage(n: int, repetitions: int, seed: int) -> float:
    samples = np.random.default_rng(seed).normal(3.0, 2.0, size=(repetitions, n))
    intervals = [statistics.mean_interval(sample) for sample in samples]
    return float(np.mean([i.low <= 3.0 <= i.high for i in intervals]))


def test_students_interval_of_three_seeds_covers_95_percent():
    assert coverage(3, 2000, seed=0) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_interval_of_more_seeds_covers_95_percent_too(n):
    assert coverage(n, 2000, seed=n) == pytest.approx(0.95, abs=0.015)


def test_the_interval_is_students_whatever_the_number_of_seeds():
    sample = np.random.default_rng(2).exponential(size=12)
    low, high = scipy.stats.t.interval(0.95, 11, loc=sample.mean(), scale=scipy.stats.sem(sample))
    found = statistics.mean_interval(sample)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("shift", [0.0, 0.12, 0.2, 0.3, 0.5])
def test_equality_is_decided_by_two_one_sided_tests(shift):
    sample = shift + np.random.default_rng(5).normal(0, 0.1, size=10)
    estimate = statistics.mean_interval(sample)
    found = statistics.decide_within(estimate, 0.0, 0.2)
    lower = scipy.stats.ttest_1samp(sample, -0.2, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(sample, 0.2, alternative="less").pvalue
    beyond = scipy.stats.ttest_1samp(sample, 0.2).pvalue
    if max(lower, upper) < 0.05:
        assert found == statistics.Decision(Verdict.REPRODUCED, pytest.approx(max(lower, upper)))
        narrow = statistics.mean_interval(sample, confidence=0.9)
        assert -0.2 < narrow.low < narrow.high < 0.2
    elif sample.mean() > 0.2 and beyond < 0.05:
        assert found == statistics.Decision(Verdict.NOT_REPRODUCED, pytest.approx(beyond))
    else:
        assert found.verdict is Verdict.INCONCLUSIVE


def test_the_p_value_of_an_order_is_that_of_the_t_test():
    sample = np.random.default_rng(6).normal(0.1, 0.1, size=6)
    found = statistics.decide_above(statistics.mean_interval(sample), 0.0)
    expected = scipy.stats.ttest_1samp(sample, 0.0).pvalue
    assert found.p == pytest.approx(expected)
    assert (found.verdict is Verdict.REPRODUCED) == (expected < 0.05)
    assert statistics.decide_above(Estimate(1.0, math.nan, math.nan, 1), 0.0).p is not None


def test_equal_values_decide_without_spread():
    same = statistics.mean_interval([0.1, 0.1, 0.1])
    nothing = pytest.approx(0.0, abs=1e-12)
    found = statistics.decide_within(same, 0.0, 0.2)
    assert (found.verdict, found.p) == (Verdict.REPRODUCED, nothing)
    assert statistics.decide_within(same, 0.0, 0.05).verdict is Verdict.NOT_REPRODUCED


def test_a_part_of_many_must_fail_clearly():
    """p = 0.03 refutes one part alone, and not one of two."""
    decision = statistics.Decision
    fails, holds = decision(Verdict.NOT_REPRODUCED, 0.03), decision(Verdict.REPRODUCED, 0.001)
    assert statistics.decide_all([fails]).verdict is Verdict.NOT_REPRODUCED
    assert statistics.decide_all([fails, holds]).verdict is Verdict.INCONCLUSIVE
    clearly = decision(Verdict.NOT_REPRODUCED, 0.01)
    assert statistics.decide_all([clearly, holds]) == decision(Verdict.NOT_REPRODUCED, 0.02)
    assert statistics.decide_all([holds, decision(Verdict.REPRODUCED, 0.04)]).p == 0.04
    fell = statistics.decide_all([decision(Verdict.NOT_REPRODUCED), holds])
    assert fell.verdict is Verdict.NOT_REPRODUCED
    assert math.isnan(fell.p)


def test_holms_correction_by_hand():
    """0.01 < 0.05/4 and 0.015 < 0.05/3, but 0.03 > 0.05/2: the third and all after it fall."""
    assert statistics.holm([0.03, 0.01, 0.04, 0.015]) == [False, True, False, True]
    assert statistics.holm([0.04]) == [True]
    assert statistics.holm([]) == []


def test_one_seed_has_no_interval_and_decides_nothing():
    one = statistics.mean_interval([0.5])
    assert (one.value, one.n) == (0.5, 1)
    assert math.isnan(one.low)
    assert statistics.judge_within(one, 0.0, 1.0) is Verdict.INCONCLUSIVE
    assert statistics.judge_above(one, 0.0) is Verdict.INCONCLUSIVE


def test_values_that_are_not_finite_are_left_out():
    assert statistics.mean_interval([1.0, math.nan, 3.0, math.inf]).n == 2
    assert statistics.mean_interval([math.nan]).n == 0


@given(
    st.lists(st.tuples(REAL, REAL), min_size=3, max_size=6),
    st.lists(REAL, min_size=6, max_size=6),
)
def test_pairing_takes_out_what_both_methods_share(pairs, shared):
    left = pd.Series([a for a, _ in pairs])
    right = pd.Series([b for _, b in pairs])
    common = pd.Series(shared[: len(pairs)])
    plain = statistics.paired_difference(left, right)
    shifted = statistics.paired_difference(left + common, right + common)
    assert shifted.value == pytest.approx(plain.value, abs=1e-9)
    assert shifted.low == pytest.approx(plain.low, abs=1e-6)


def test_only_seeds_that_both_have_are_paired():
    left = pd.Series({1: 5.0, 2: 6.0, 3: 100.0})
    right = pd.Series({2: 4.0, 1: 4.0, 4: -7.0})
    found = statistics.paired_difference(left, right)
    assert (found.value, found.n) == (1.5, 2)


def test_the_ratio_is_that_of_geometric_means():
    found = statistics.paired_difference(pd.Series([2.0, 8.0]), pd.Series([1.0, 1.0]), ratio=True)
    assert math.exp(found.value) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.2, 0.2, Verdict.REPRODUCED),  # the border belongs to the margin
        (-0.1, 0.1, Verdict.REPRODUCED),
        (-0.2000001, 0.2, Verdict.INCONCLUSIVE),
        (0.2, 0.5, Verdict.INCONCLUSIVE),  # touches the border: not wholly outside
        (0.2000001, 0.5, Verdict.NOT_REPRODUCED),
        (-0.5, -0.2000001, Verdict.NOT_REPRODUCED),
        (-0.5, 0.5, Verdict.INCONCLUSIVE),
        (math.nan, math.nan, Verdict.INCONCLUSIVE),
    ],
)
def test_within(low, high, verdict):
    estimate = Estimate((low + high) / 2, low, high, 3)
    assert statistics.judge_within(estimate, 0.0, 0.2) is verdict
    moved = Estimate(estimate.value + 5, low + 5, high + 5, 3)
    if abs(low) != 0.2 and abs(high) != 0.2:  # 5.2 - 5 is not 0.2 in floating point
        assert statistics.judge_within(moved, 5.0, 0.2) is verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, Verdict.REPRODUCED),
        (0.0, 0.3, Verdict.INCONCLUSIVE),  # "above" is strict
        (-0.3, 0.0, Verdict.INCONCLUSIVE),
        (-0.3, -0.1, Verdict.NOT_REPRODUCED),
        (-0.1, 0.3, Verdict.INCONCLUSIVE),
    ],
)
def test_above(low, high, verdict):
    assert statistics.judge_above(Estimate(0.0, low, high, 3), 0.0) is verdict


@given(REAL, st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_a_wider_interval_never_decides_more(value, half, more, margin):
    narrow = Estimate(value, value - half, value + half, 3)
    wide = Estimate(value, value - half - more, value + half + more, 3)
    for judge in (
        lambda e: statistics.judge_within(e, 0.0, margin),
        lambda e: statistics.judge_above(e, margin),
    ):
        if judge(narrow) is Verdict.INCONCLUSIVE:
            assert judge(wide) is Verdict.INCONCLUSIVE
        else:
            assert judge(wide) in {judge(narrow), Verdict.INCONCLUSIVE}


@given(st.floats(-3, 3), st.floats(0.1, 100))
def test_the_slope_of_a_power_law_is_its_exponent(exponent, factor):
    n = np.array([2.0, 4.0, 8.0, 16.0])
    fit = statistics.loglog_slope(n, factor * n**exponent)
    assert fit.value == pytest.approx(exponent, abs=1e-9)
    assert fit.low - 1e-6 <= exponent <= fit.high + 1e-6


def test_the_interval_of_the_slope_covers_95_percent():
    generator = np.random.default_rng(3)
    n = np.array([2.0, 4.0, 8.0, 16.0])
    hits = 0
    for _ in range(800):
        y = n**-1.0 * np.exp(generator.normal(0, 0.2, size=4))
        fit = statistics.loglog_slope(n, y)
        hits += fit.low <= -1.0 <= fit.high
    assert hits / 800 == pytest.approx(0.95, abs=0.02)


def test_the_papers_own_slopes():
    n = [2, 4, 8, 16]
    mnist = statistics.loglog_slope(n, [5781, 2159, 963, 455])
    cifar = statistics.loglog_slope(n, [4243, 2303, 1426, 863])
    assert mnist.value == pytest.approx(-1.22, abs=0.005)
    assert cifar.value == pytest.approx(-0.76, abs=0.005)


def test_a_log_log_fit_wants_positive_values_at_different_x():
    with pytest.raises(ValueError, match="positive"):
        statistics.loglog_slope([2, 4], [1.0, 0.0])
    with pytest.raises(ValueError, match="different"):
        statistics.loglog_slope([2, 2], [1.0, 3.0])


def test_a_claim_of_many_parts_needs_each():
    yes, no, open_, none = (
        Verdict.REPRODUCED,
        Verdict.NOT_REPRODUCED,
        Verdict.INCONCLUSIVE,
        Verdict.NOT_TESTED,
    )
    assert statistics.all_of([yes, yes]) is yes
    assert statistics.all_of([yes, open_]) is open_
    assert statistics.all_of([open_, no, yes]) is no
    assert statistics.all_of([yes, none]) is none
    assert statistics.all_of([]) is none


@given(REAL, st.floats(0, 10), st.floats(0, 10), st.floats(-10, 10))
def test_scaling_keeps_the_ends_in_order(value, below, above, factor):
    scaled = Estimate(value, value - below, value + above, 4).scaled(factor)
    assert scaled.low <= scaled.high
    assert scaled.value == pytest.approx(value * factor)
