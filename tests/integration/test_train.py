"""Groups of a plan: training, tuning, what is kept, what is not run, and preflight."""

from __future__ import annotations

import json

import pytest
from study_config import plan_below
from typer.testing import CliRunner

from wiregrad import data
from wiregrad.cli.study import app
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.studies import preflight
from wiregrad.studies.files import (
    DataReport,
    NotRun,
    NotRunKind,
    read_data_report,
    read_manifest,
    read_tuning,
    write,
)
from wiregrad.studies.groups import train
from wiregrad.studies.job import Job
from wiregrad.studies.tuning import tune

DATA = "a1a|a9a"
EXPERIMENT = {
    "title": "t",
    "problem": {"name": "logistic", "data": DATA},
    "runtime": {"workers": 4},
    "budget": {"steps": 5},
    "methods": "all",
    "lr": {"default": 0.1},
    "seeds": [1, 2],
}
DEEP = {"name": "mnist_cnn", "data": "mnist|mnist-5k", "train_limit": 512, "batch": 8}
TUNING = {"grid": [1e-4, 1e-2, 1e12], "seeds": [9], "budget": {"steps": 10}, "valid_fraction": 0.2}


def needs(name):
    try:
        data.load(name)
    except DataUnavailable as error:
        pytest.skip(str(error))


def plan_of(folder, **changes):
    methods = {"sgd": {"title": "SGD", "method": {"name": "dist_sgd"}}}
    return plan_below(folder, methods, EXPERIMENT | changes)


def quiet(_):
    """Say nothing."""


JOB = Job(say=quiet)


def test_a_group_leaves_its_runs_and_a_manifest_and_more_seeds_keep_the_old_runs(tmp_path):
    needs(DATA)
    group = plan_of(tmp_path).groups[0]
    manifest = train(group, JOB)
    assert read_manifest(group.manifest) == manifest
    assert [run.seed for run in manifest.runs] == [1, 2]
    cards = [group.directory / run.id / "run.json" for run in manifest.runs]
    written = [card.stat().st_mtime_ns for card in cards]
    more = train(plan_of(tmp_path, seeds=[1, 2, 3]).groups[0], JOB)
    assert more.runs[:2] == manifest.runs
    assert len(more.runs) == 3
    assert [card.stat().st_mtime_ns for card in cards] == written
    train(plan_of(tmp_path, seeds=[2]).groups[0], JOB)
    assert [card.exists() for card in cards] == [False, True]


def test_tuning_takes_the_best_rate_leaves_out_a_diverged_one_and_train_uses_it(tmp_path):
    needs(DEEP["data"])
    group = plan_of(tmp_path, problem=DEEP, tuning=TUNING, seeds=[1]).groups[0]
    run = train(group, JOB).runs[0]  # it tunes first
    trials = {file: file.stat().st_mtime_ns for file in group.directory.glob("tuning/*/run.json")}
    assert len(trials) == 3
    result = read_tuning(group.tuning_file)
    assert tune(group, JOB) == result
    assert {file: file.stat().st_mtime_ns for file in trials} == trials
    scores = {float(rate): values[0] for rate, values in result.scores.items()}
    assert scores[1e12] is None
    assert scores[1e-2] < scores[1e-4]
    assert (result.best, result.edge) == (1e-2, False)
    card = json.loads((group.directory / run.id / "run.json").read_text())
    assert card["config"]["method"]["lr"] == 1e-2


def test_the_best_rate_at_the_edge_is_a_warning(tmp_path):
    needs(DEEP["data"])
    said = []
    tuning = TUNING | {"grid": [1e-4, 1e-2]}
    group = plan_of(tmp_path, problem=DEEP, tuning=tuning, seeds=[1]).groups[0]
    assert tune(group, Job(say=said.append)).edge is True
    assert any("grid's edge" in line for line in said)


def test_where_every_rate_diverges_nothing_is_run_and_the_reason_is_kept(tmp_path):
    toy = {"name": "quadratic", "dim": 5}
    tuning = {"grid": [1e200, 1e250], "seeds": [9], "budget": {"steps": 5}, "metric": "loss_train"}
    group = plan_of(tmp_path, problem=toy, tuning=tuning).groups[0]
    result = tune(group, JOB)
    assert (result.best, result.edge) == (None, False)
    manifest = train(group, JOB)
    assert (manifest.runs, manifest.not_run) == ((), result.not_run)
    detail = "every rate of the tuning grid diverged"
    assert manifest.not_run == NotRun(kind=NotRunKind.DIVERGED, detail=detail)


def test_no_data_and_a_skip_are_reasons_and_not_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("WIREGRAD_MIRROR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror")
    group = plan_of(tmp_path).groups[0]
    manifest = train(group, JOB)
    assert manifest.runs == ()
    assert manifest.not_run.kind is NotRunKind.NO_DATA
    assert manifest.not_run.text.startswith("no data: ")
    skipped = plan_of(tmp_path, skip="a reason").groups[0]
    assert train(skipped, JOB).not_run == NotRun(kind=NotRunKind.SKIPPED, detail="a reason")
    assert preflight.check(skipped, skipped.runs[0]).state == "skipped"
    assert preflight.check(group, group.runs[0]).state == "no data"


def test_preflight_checks_a_shape_on_other_data_where_its_own_cannot_be_had(tmp_path, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror")
    needs(DATA)
    problem = EXPERIMENT["problem"] | {"data": "ijcnn1"}  # the mirror of the tests has it not
    group = plan_of(tmp_path, problem=problem).groups[0]
    assert preflight.check(group, group.runs[0]).state == "no data"
    monkeypatch.setitem(preflight._STAND_INS, "ijcnn1", DATA)
    found = preflight.check(group, group.runs[0])
    assert (found.state, found.detail) == ("ok", f"on {DATA}")


def test_distributed_runs_are_refused_by_train_and_simulated_by_preflight(tmp_path):
    toy = {"name": "quadratic", "dim": 5}
    distributed = {"name": "distributed", "workers": 2}
    group = plan_of(tmp_path, problem=toy, runtime=distributed).groups[0]
    line = r"p/e: runtime.name: distributed .*`wiregrad launch -n 2 CONFIG`.* runtime.name: simul"
    with pytest.raises(ConfigError, match=line):
        train(group, JOB)
    assert not list(group.directory.glob("*/run.json"))
    found = preflight.check(group, group.runs[0])
    assert (found.state, found.detail) == ("ok", "distributed runtime checked by its simulation")


@pytest.mark.parametrize("said", ["gone", None])
def test_what_the_report_of_the_data_says_is_told_without_a_run(tmp_path, said):
    toy = {"name": "quadratic", "dim": 5}
    group = plan_of(tmp_path, problem=toy).groups[0]
    report = tmp_path / "data.json"
    write(report, DataReport(name="toy", available=said is None, reason=said))
    args = ["--scale", "s", "--paper", "p", "--experiment", "e", "--label", "sgd"]
    args += ["--config-dir", str(tmp_path / "config"), "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, ["train", *args, "--data-report", str(report)])
    assert done.exit_code == 0, done.output
    manifest = json.loads(group.manifest.read_text())
    assert len(manifest["runs"]) == (2 if said is None else 0)
    assert manifest["not_run"] == (None if said is None else {"kind": "no_data", "detail": "gone"})


def test_a_report_that_is_none_is_refused(tmp_path):
    report = tmp_path / "data.json"
    report.write_text("[]")
    with pytest.raises(ConfigError, match=r"data.json: not a report of `wiregrad data fetch`"):
        read_data_report(report)


def test_preflight_shortens_deep_runs():
    run = {"problem": {"name": "cifar_vgg16_bn"}, "budget": {"epochs": 9}}
    short = preflight.shortened(run)
    assert short["budget"] == {"steps": 2}
    assert short["problem"] == run["problem"] | {"eval_train": 16, "eval_test": 16, "batch": 2}
    run["problem"]["batch"] = 1
    assert preflight.shortened(run)["problem"]["batch"] == 1
    convex = {"problem": {"name": "logistic", "data": DATA}}
    assert preflight.shortened(convex)["problem"] == convex["problem"]


def test_preflight_runs_two_rounds_of_every_shape(tmp_path):
    needs(DATA)
    plan = plan_of(tmp_path, grid={"runtime.workers": [2, 4]})
    for jobs in 1, 2:
        checks = preflight.checks(plan, jobs=jobs)
        assert [(c.shape, c.state) for c in checks] == [
            ("p/e/sgd/n2", "ok"),
            ("p/e/sgd/n4", "ok"),
        ]
    assert not (tmp_path / "results").exists()
    with pytest.raises(ConfigError, match="--experiment: unknown experiment 'other'"):
        list(preflight.checks(plan, ["e", "other"]))
