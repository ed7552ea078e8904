"""Estimates of cost: rounds by budget, times by run cards or by the table, trials at the most."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from study_config import plan_below
from typer.testing import CliRunner

from wiregrad.cli.study import app
from wiregrad.studies.cost import Source, Table, costs, in_all
from wiregrad.studies.plan import load_plan

ROOT = Path(__file__).parents[2]
TABLE = Table.load()
EXPERIMENT = {
    "title": "t",
    "problem": {"name": "mnist_cnn", "data": "mnist|mnist-5k", "batch": 50, "train_limit": 4000},
    "runtime": {"workers": 8},
    "budget": {"epochs": 20},
    "methods": ["a"],
    "lr": {"default": 0.1},
    "seeds": [1, 2, 3],
}
TUNING = {"grid": [0.1, 1], "cap": 6, "seeds": [8, 9], "budget": {"fraction": 0.25}}
SWEEP = {"multiples": [1, 2, 4], "k": [1, 2], "zeta": [1, 2], "cap": 8}
SWEEP |= {"tolerance": 1, "max_rounds": 9}


def plan_of(folder, **changes):
    methods = {"a": {"title": "A", "method": {"name": "dist_sgd"}}}
    compressor = {"name": "top_k", "k": 1}
    methods["clag"] = {
        "title": "C",
        "method": {"name": "clag", "zeta": 1.0, "compressor": compressor},
    }
    return plan_below(folder, methods, EXPERIMENT | changes)


def leave_card(folder, plan, seconds, steps=100):
    run = plan.groups[0].runs[0]
    card = {"config": run.config, "steps": steps, "wall_seconds": seconds}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(card | {"labels": {"label": "a"}}))


def test_rounds_follow_from_the_budget_and_times_from_the_table(tmp_path):
    (cost,) = costs(plan_of(tmp_path), [])
    assert (cost.runs, cost.trials, cost.most_trials) == (3, 0, 0)
    assert cost.amount.rounds == 3 * 20 * 4000 / (8 * 50)
    entry = TABLE.ms["mnist_cnn"]
    ms = entry.ms * 8 * 50 / (entry.workers * entry.batch)
    assert cost.amount.ms == pytest.approx(cost.amount.rounds * ms)
    assert cost.sources == {Source.TABLE}
    assert cost.hours == cost.most_hours == pytest.approx(cost.amount.ms / 3.6e6)


def test_what_nobody_has_measured_is_called_a_guess(tmp_path):
    problem = EXPERIMENT["problem"] | {"name": "cifar_resnet18", "data": "cifar10"}
    (cost,) = costs(plan_of(tmp_path, problem=problem), [])
    assert cost.sources == {Source.GUESS}


def test_run_cards_of_the_same_task_come_before_the_table(tmp_path):
    plan = plan_of(tmp_path)
    for place, seconds in enumerate((1.0, 2.0, 50.0)):
        leave_card(tmp_path / f"cards/{place}", plan, seconds)
    (tmp_path / "cards/bad").mkdir()
    (tmp_path / "cards/bad/run.json").write_text("[]")
    (cost,) = costs(plan, [tmp_path / "cards", tmp_path / "none"])
    assert cost.sources == {Source.CARDS}
    assert cost.amount.ms == pytest.approx(cost.amount.rounds * 20)  # the median
    (other,) = costs(plan_of(tmp_path, runtime={"workers": 4}), [tmp_path / "cards"])
    assert other.sources == {Source.TABLE}


@pytest.mark.parametrize(
    ("changes", "rounds"),
    [
        ({"budget": {"steps": 7}}, 7),
        ({"budget": {"samples": 4000}}, 10),
        ({"problem": {"name": "logistic", "data": "a9a"}, "budget": {"epochs": 9}}, 9),
        ({"runtime": {"name": "asynchronous", "workers": 8}}, 20 * 4000 / 50),
        ({"problem": EXPERIMENT["problem"] | {"train_limit": 10**6}}, 20 * 60000 / 400),
        ({"budget": {"bits": 9}}, math.nan),
    ],
)
def test_rounds_of_every_kind_of_budget(tmp_path, changes, rounds):
    (cost,) = costs(plan_of(tmp_path, **changes), [])
    assert cost.amount.rounds == pytest.approx(3 * rounds, nan_ok=True)
    assert (Source.UNKNOWN in cost.sources) == math.isnan(rounds)


def test_trials_are_counted_refined_and_at_the_cap(tmp_path):
    (plain,) = costs(plan_of(tmp_path), [])
    (cost,) = costs(plan_of(tmp_path, tuning=TUNING), [])
    assert (cost.trials, cost.most_trials) == ((2 + 2) * 2, 6 * 2)
    part = 0.25 * 0.9 / 3  # of a run: the fraction, without the validation split
    assert cost.amount.rounds == pytest.approx(plain.amount.rounds * (1 + 8 * part))
    assert cost.most.rounds == pytest.approx(plain.amount.rounds * (1 + 12 * part))
    assert cost.most_hours > cost.hours


def test_runs_of_a_sweep_are_counted_by_the_axes_that_the_method_has(tmp_path):
    problem = {"name": "logistic", "data": "a9a"}
    changes = {"problem": problem, "sweep": SWEEP, "methods": ["a", "clag"], "seeds": [1]}
    (cost,) = costs(plan_of(tmp_path, **changes), [])
    assert (cost.trials, cost.most_trials) == (5 + 5 * 4 * 4, 8 + 8 * 8 * 8)
    fixed = SWEEP | {"labels": {"clag": {"k": [3]}}}
    (cost,) = costs(plan_of(tmp_path, **changes | {"sweep": fixed}), [])
    assert cost.trials == 5 + 5 * 4


def test_what_is_skipped_costs_nothing_and_sums_add_up(tmp_path):
    assert costs(plan_of(tmp_path, skip="why"), []) == []
    parts = costs(load_plan("cpu", ROOT / "config"), [])
    total = in_all(parts, "all")
    assert total.runs == sum(part.runs for part in parts)
    assert total.hours == pytest.approx(sum(part.hours for part in parts))
    assert not any(Source.UNKNOWN in part.sources for part in parts)


def test_the_command_prints_experiments_papers_and_all(tmp_path):
    plan_of(tmp_path, tuning=TUNING)
    where = ["--config-dir", str(tmp_path / "config"), "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, ["cost", "--scale", "s", *where, "p"])
    assert done.exit_code == 0, done.output
    head, *lines = done.output.splitlines()
    assert head.split()[:2] == ["paper", "experiment"]
    assert [line.split()[0] for line in lines] == ["p", "p", "all"]
    assert "8 to 12" in lines[0]
    assert lines[0].endswith("table")


def test_an_estimate_needs_no_torch():
    code = "import sys, wiregrad.studies.cost; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
