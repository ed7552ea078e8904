"""Tunings and sweeps that grow: settled or not, resumed at any point, the same whatever happens."""

from __future__ import annotations

import json

import pytest
from study_config import plan_below

from wiregrad.runs.record import read_card
from wiregrad.studies import tuning as tuning_module
from wiregrad.studies.files import read_sweep, read_tuning
from wiregrad.studies.groups import train
from wiregrad.studies.job import Job
from wiregrad.studies.sweep import loaded
from wiregrad.studies.sweep.group import sweep_group
from wiregrad.studies.sweep.rows import read_rows
from wiregrad.studies.tuning import tune

TOP = {"name": "top_k", "k": 1}
METHODS = {
    "sgd": {"title": "SGD", "method": {"name": "dist_sgd"}},
    "one_bit": {"title": "1-bit Adam", "method": {"name": "one_bit_adam_published"}},
    "clag": {"title": "CLAG", "method": {"name": "clag", "zeta": 1.0, "compressor": TOP}},
    "gd": {"title": "GD", "method": {"name": "dist_sgd"}},
}
TUNING = {
    "grid": [1.0e-3, 1.0e-2],
    "cap": 12,
    "seeds": [8, 9],
    "budget": {"fraction": 0.25},
    "metric": "loss_train",
}
EXPERIMENT = {
    "title": "t",
    "problem": {"name": "quadratic", "dim": 12, "lam": 0.1},
    "runtime": {"workers": 4},
    "budget": {"steps": 40},
    "methods": ["sgd"],
    "lr": {"default": 0.1},
    "seeds": [1],
}
SWEEP = {
    "multiples": [1, 2],
    "k": [2, 4],
    "zeta": [0, 1, 4],
    "tolerance": 1e-3,
    "max_rounds": 150,
    "cap": 16,
}


def plan_of(folder, **changes):
    return plan_below(folder, METHODS, EXPERIMENT | changes, "comp_ams")


def group_of(folder, label="sgd", **changes):
    return plan_of(folder, methods=[label], **changes).group("p", "e", label)


def quiet(_):
    """Say nothing."""


JOB = Job(say=quiet)


def test_a_rate_beyond_the_grid_is_found_and_the_run_takes_it(tmp_path):
    said = []
    group = group_of(tmp_path, tuning=TUNING)
    (run,) = train(group, Job(say=said.append)).runs
    result = read_tuning(group.tuning_file)
    assert (result.settled, result.unsettled, result.cap) == (True, (), 12)
    assert result.best > 1e-2
    assert result.grid[0] < result.best < result.grid[-1]
    assert list(result.grid) == sorted(result.grid)
    scores = [point.score for point in result.points]
    assert min(score for score in scores if score is not None) == min(
        point.score for point in result.curve if point.settings["method.lr"] == result.best
    )
    assert len(list(group.directory.glob("tuning/*/run.json"))) == result.trials
    assert result.trials == 2 * len(result.grid)
    config = read_card(group.directory / run.id / "run.json").config
    assert config["method"]["lr"] == result.best
    assert config["budget"]["steps"] == 40
    trial = read_card(next(group.directory.glob("tuning/*/run.json")))
    assert trial.steps == 10
    rates = [line for line in said if ": method.lr = " in line]
    assert len(rates) == len(result.grid)
    assert any(line.startswith("e/sgd: method.lr = 0.01: loss_train ") for line in rates)
    raw = json.loads(group.tuning_file.read_text())
    written = [point["settings"]["method.lr"] for point in raw["points"]]
    assert written == sorted(written)


class Interrupted(Exception):
    """Stands for a job that is stopped."""


def test_a_tuning_that_is_stopped_after_every_trial_comes_to_the_same_result(tmp_path, monkeypatch):
    whole = group_of(tmp_path / "whole", tuning=TUNING)
    tune(whole, JOB)
    group = group_of(tmp_path / "parts", tuning=TUNING)
    execute, new = tuning_module.execute_planned, []

    def stopping(planned, out, *rest):
        if not (out / "run.json").exists():
            if new:
                raise Interrupted
            new.append(out)
        return execute(planned, out, *rest)

    monkeypatch.setattr(tuning_module, "execute_planned", stopping)
    stops = 0
    while not group.tuning_file.exists():
        new.clear()
        try:
            tune(group, JOB)
        except Interrupted:
            stops += 1
    assert group.tuning_file.read_bytes() == whole.tuning_file.read_bytes()
    assert stops == read_tuning(group.tuning_file).trials - 1


def test_where_the_cap_is_reached_the_tuning_is_not_settled(tmp_path):
    said = []
    group = group_of(tmp_path, tuning=TUNING | {"grid": [1e-9, 1e-8], "cap": 6})
    result = tune(group, Job(say=said.append))
    assert (result.settled, result.unsettled) == (False, ("method.lr",))
    assert (result.edge, result.best) == (True, 1e-6)
    assert result.grid == (1e-9, 1e-8, 1e-7, 1e-6)
    assert said[-1].startswith(
        "warning: sgd: tuning not settled after 6 values in method.lr: the best rate is 1e-06"
    )
    (run,) = train(group, JOB).runs
    card = read_card(group.directory / run.id / "run.json")
    assert card.config["method"]["lr"] == 1e-6


def test_where_the_whole_grid_diverges_smaller_rates_are_tried(tmp_path):
    group = group_of(tmp_path, tuning=TUNING | {"grid": [1e30, 1e38], "cap": 12})
    result = tune(group, JOB)
    assert result.settled
    assert result.points[-1].values == (None, None)


def test_a_second_hyper_parameter_is_tuned_by_the_same_rule(tmp_path):
    axis = {"grid": [2, 4], "high": 20, "whole": True}
    also = {"one_bit": {"method.warmup_rounds": axis}, "sgd": {"method.no": {"grid": [1, 2]}}}
    group = group_of(tmp_path, "one_bit", tuning=TUNING | {"also": also})
    (run,) = train(group, JOB).runs
    result = read_tuning(group.tuning_file)
    assert set(result.chosen) == {"method.lr", "method.warmup_rounds"}
    assert result.settled
    tried = {point.settings["method.warmup_rounds"] for point in result.points}
    assert len(result.points) == len(tried) * len(result.grid)
    method = read_card(group.directory / run.id / "run.json").config["method"]
    assert method["lr"] == result.best
    assert method["warmup_rounds"] == result.chosen["method.warmup_rounds"]
    assert len(result.curve) == len(result.grid)


def test_a_sweep_grows_until_its_best_point_is_inside(tmp_path):
    group = group_of(tmp_path, "clag", sweep=SWEEP, lr=None)
    said = []
    result = sweep_group(group, say=said.append)
    assert result.settled == {"multiples": True, "k": True, "zeta": True}
    assert (result.edge, result.cap) == ((), 16)
    assert not any("warning" in line for line in said)
    assert read_sweep(group.best_file) == result
    rows = read_rows(group.sweep_file)
    keys = [(row["k"], row["zeta"], row["multiple"]) for row in rows]
    assert keys == sorted(set(keys))
    multiples = sorted({row["multiple"] for row in rows})
    assert max(multiples) > 2
    assert multiples[0] < result.best.multiple < multiples[-1]
    assert {row["k"] for row in rows} <= set(range(1, 13))
    (run,) = train(group, JOB).runs
    method = read_card(group.directory / run.id / "run.json").config["method"]
    assert (method["lr"], method["compressor"]["k"]) == (result.best.lr, result.best.k)


def test_a_sweep_says_along_which_axes_it_is_not_settled(tmp_path):
    sweep = SWEEP | {"multiples": [1e-6, 2e-6], "cap": 5}
    said = []
    result = sweep_group(group_of(tmp_path, "gd", sweep=sweep, lr=None), say=said.append)
    assert result.settled == {"multiples": False}
    assert result.edge == ("multiples",)
    assert said[-1] == "warning: p/e/gd: sweep not settled after 5 values in multiples"


def test_a_growing_sweep_that_is_stopped_computes_no_batch_twice(tmp_path, monkeypatch):
    changes = {"sweep": SWEEP | {"seeds": [1, 2]}, "lr": None}
    whole = group_of(tmp_path / "whole", "clag", **changes)
    sweep_group(whole, say=quiet)
    group = group_of(tmp_path / "parts", "clag", **changes)
    advance, new, computed = loaded.advance, [], []

    def stopping(problem, method, seeds, points, *rest):
        if new:
            raise Interrupted
        new.append(1)
        k = method.compressor.k
        computed.extend((seeds.root, k, point.zeta, point.multiple) for point in points)
        return advance(problem, method, seeds, points, *rest)

    monkeypatch.setattr(loaded, "advance", stopping)
    stops = 0
    while not group.best_file.exists():
        new.clear()
        try:
            sweep_group(group, say=quiet)
        except Interrupted:
            stops += 1
    assert stops > 8
    assert len(computed) == len(set(computed)) == len(read_rows(group.sweep_file))
    assert group.sweep_file.read_bytes() == whole.sweep_file.read_bytes()
    assert group.best_file.read_bytes() == whole.best_file.read_bytes()


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_a_trial_runs_with_the_schedule_shrunk(tmp_path, fraction):
    schedule = {"name": "step", "milestones": [20], "factor": 0.5}
    tuning = TUNING | {"budget": {"fraction": fraction}}
    group = group_of(tmp_path, tuning=tuning, schedule=schedule)
    tune(group, JOB)
    card = read_card(next(group.directory.glob("tuning/*/run.json")))
    assert card.steps == 40 * fraction
    assert card.config["method"]["schedule"]["milestones"] == [20 * fraction]
