"""Numbers that are taken from histories."""

from __future__ import annotations

import histories
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiregrad.analysis.results import measure

LOSSES = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=12)


def frame(*runs: pd.DataFrame, diverged: tuple[int, ...] = ()) -> pd.DataFrame:
    pairs = [("m", seed) for seed in diverged]
    return histories.results({("m", 4): runs}, diverged=pairs).frame


def crossing(loss: list[float], target: float, x: str = "step") -> pd.Series:
    return measure.first_crossing(frame(histories.history(loss)), "loss_train", target, x).iloc[0]


def test_the_crossing_is_interpolated_between_logged_rows():
    found = crossing([2.0, 1.0, 0.5], 0.75)
    assert found["value"] == pytest.approx(15.0)
    assert not found["censored"]
    assert crossing([2.0, 1.0, 0.5], 0.75, "uplink_bits_paper")["value"] == pytest.approx(15000.0)
    assert crossing([2.0, 1.0, 0.5], 0.75, "epoch")["value"] == pytest.approx(1.5)


def test_the_first_crossing_counts_not_the_last():
    assert crossing([2.0, 1.0, 2.0, 1.0], 1.0)["value"] == pytest.approx(10.0)


def test_a_run_that_never_gets_there_is_censored_at_its_end():
    found = crossing([2.0, 1.0, 0.9], 0.75)
    assert found["censored"]
    assert np.isnan(found["value"])
    assert found["spent"] == 20


def test_a_run_that_starts_there_spends_nothing():
    assert crossing([0.5, 0.4], 0.75)["value"] == 0.0


def test_rows_without_a_measurement_are_skipped():
    assert crossing([2.0, float("nan"), 1.0], 1.5)["value"] == pytest.approx(10.0)


def test_accuracy_crosses_upwards():
    run = histories.history([1.0] * 3, accuracy=[0.1, 0.5, 0.9])
    found = measure.first_crossing(frame(run), "metric_test", 0.7, "step", rising=True)
    assert found["value"].iloc[0] == pytest.approx(15.0)


@given(LOSSES, st.floats(0.01, 10.0))
def test_before_the_crossing_every_logged_row_is_above_the_target(loss, target):
    found = crossing(loss, target)
    steps = np.arange(len(loss)) * 10
    if found["censored"]:
        assert min(loss) > target
    else:
        assert 0 <= found["value"] <= found["spent"]
        assert all(v > target for s, v in zip(steps, loss, strict=True) if s < found["value"])


@given(LOSSES, st.floats(0.01, 10.0), st.floats(0.0, 5.0))
def test_a_harder_target_never_comes_earlier(loss, target, less):
    easy, hard = crossing(loss, target), crossing(loss, target - less)
    if not hard["censored"]:
        assert not easy["censored"]
        assert easy["value"] <= hard["value"]


def test_the_final_value_is_the_last_one_measured():
    found = measure.per_run(frame(histories.history([3.0, 2.0, float("nan")])), "loss_train")
    assert found["value"].tolist() == [2.0]


def test_a_value_at_an_epoch_is_interpolated_and_missing_beyond_the_end():
    table = frame(histories.history([3.0, 2.0, 1.0]))
    assert measure.per_run(table, "loss_train", {"epoch": 1.5})["value"].tolist() == [1.5]
    assert measure.per_run(table, "loss_train", {"epoch": 3})["value"].isna().all()


def test_a_diverged_run_is_a_row_without_a_value():
    runs = (histories.history([3.0, 2.0]), histories.history([3.0, 9.0]))
    found = measure.per_run(frame(*runs, diverged=(2,)), "loss_train")
    assert found["diverged"].tolist() == [False, True]
    assert found["value"].iloc[0] == 2.0
    assert np.isnan(found["value"].iloc[1])


def test_runs_logged_at_the_same_x_are_left_alone():
    table = frame(histories.history([3.0, 2.0]), histories.history([4.0, 1.0]))
    assert measure.on_common_x(table, "step", ["loss_train"]) is table


def test_runs_on_other_x_are_interpolated_and_not_extrapolated():
    other = histories.history([4.0, 2.0], bits_paper=2000)  # logged at 0 and 20,000 bits
    table = frame(histories.history([4.0, 3.0, 2.0, 1.0]), other)  # 0, 10,000, … 30,000
    common = measure.on_common_x(table, "uplink_bits_paper", ["loss_train", "step"])
    values = common.pivot_table(index="uplink_bits_paper", columns="seed", values="loss_train")
    assert values.loc[20000, 1] == pytest.approx(2.0)
    assert values.loc[20000, 2] == pytest.approx(2.0)
    short = frame(histories.history([4.0, 2.0]), histories.history([4.0], rounds_per_row=5))
    alone = measure.on_common_x(short, "step", ["loss_train"])
    assert set(alone["step"]) == {0}  # the grid of the shorter run
