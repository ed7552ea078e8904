"""The sweep of a group: its files, the point that wins, and the run at that point."""

from __future__ import annotations

import json

import pytest
import torch
from study_config import write_config
from typer.testing import CliRunner

from wiregrad import data
from wiregrad.cli.study import app
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.record import read_card, read_history
from wiregrad.studies import preflight
from wiregrad.studies.files import NotRun, NotRunKind, read_manifest, write
from wiregrad.studies.groups import train
from wiregrad.studies.job import Job
from wiregrad.studies.plan import load_plan
from wiregrad.studies.run_configs import TUNED
from wiregrad.studies.sweep.group import chosen_settings, sweep_group
from wiregrad.studies.sweep.rows import read_rows

TOP = {"name": "top_k", "k": 1}
METHODS = {
    "gd": {"title": "GD", "method": {"name": "dist_sgd"}},
    "clag": {"title": "CLAG", "method": {"name": "clag", "zeta": 1.0, "compressor": TOP}},
    "lag_ps": {"title": "LAG-PS", "method": {"name": "lag_ps", "smoothness": "theory"}},
}
SWEEP = {
    "multiples": [1, 4, 16],
    "k": [2, 8],
    "zeta": [1, 16],
    "labels": {"clag": {"k": [2, 4]}},
    "tolerance": 1e-6,
    "squared": True,
    "max_rounds": 120,
    "indexed": "formula",
}
EXPERIMENT = {
    "title": "t",
    "problem": {"name": "quadratic", "dim": 12, "lam": 0.1},
    "runtime": {"workers": 4},
    "budget": {"steps": 120, "target": {"column": "grad_norm", "below": 1e-3}},
    "methods": "all",
    "seeds": [1],
    "sweep": SWEEP,
}


def written(folder, **changes):
    write_config(folder, METHODS, EXPERIMENT | changes, "comp_ams")
    return folder


def plan_of(folder, **changes):
    written(folder, **changes)
    return load_plan("s", folder / "config", results=folder / "results")


def quiet(_):
    """Say nothing."""


def test_the_run_at_the_winning_point_is_the_one_of_the_sweep(tmp_path):
    plan = plan_of(tmp_path)
    for label, count in {"gd": 3, "clag": 12}.items():
        group = plan.group("p", "e", label)
        assert group.runs[0].config["method"]["lr"] == TUNED
        manifest = train(group, Job(say=quiet))
        result = json.loads(group.best_file.read_text())
        rows = read_rows(group.sweep_file)
        assert len(rows) == count == sum(result["outcomes"].values())
        assert not (group.directory / "sweep").exists()
        best = result["best"]
        assert best["reached"]
        history = read_history(group.directory / manifest.runs[0].id / "history.parquet")
        last = history.slice(len(history) - 1).to_pylist()[0]
        assert last["step"] == best["iterations"]
        assert last["uplink_bits_paper"] == best["uplink_bits_paper"]
        assert last["grad_norm"] == pytest.approx(best["grad_norm"], rel=1e-9)
        card = json.loads((group.directory / manifest.runs[0].id / "run.json").read_text())
        method = card["config"]["method"]
        assert method["lr"] == best["lr"]
        if label == "clag":
            assert (method["compressor"]["k"], method["zeta"]) == (best["k"], best["zeta"])
            assert {row["k"] for row in rows} == {2, 4}


def test_lag_ps_is_given_the_smoothness_of_the_problem(tmp_path):
    group = plan_of(tmp_path).group("p", "e", "lag_ps")
    (run,) = train(group, Job(say=quiet)).runs
    card = json.loads((group.directory / run.id / "run.json").read_text())
    problem = RunConfig.parse(card["config"], "here").problem
    each = problem.build(4, Seeds(1), torch.device("cpu")).constants().each
    assert card["config"]["method"]["smoothness"] == list(each)
    assert len(set(each)) == 4


def test_preflight_takes_what_a_sweep_gives(tmp_path):
    found = {check.shape: check.state for check in preflight.checks(plan_of(tmp_path))}
    assert found["p/e/lag_ps/n4"] == found["p/e/clag/n4"] == "ok"
    assert set(found.values()) == {"ok"}


def test_a_shape_that_cannot_be_run_is_named(tmp_path):
    plan = plan_of(tmp_path, sweep=None, lr={"default": 0.1})
    with pytest.raises(ConfigError, match=r"^p/e/lag_ps/n4: method\.smoothness: theory is for"):
        list(preflight.checks(plan))


def test_the_smoothness_of_theory_is_that_of_a_sweep_only(tmp_path):
    planned = plan_of(tmp_path, sweep=None, lr={"default": 0.1}).group("p", "e", "lag_ps").runs[0]
    run = RunConfig.parse(planned.config, "here")
    with pytest.raises(ConfigError, match=r"^method\.smoothness: theory is for sweeps"):
        execute(run, tmp_path / "run")


def test_the_command_leaves_the_same_files_twice_and_warns_at_the_edge(tmp_path):
    written(tmp_path, sweep=SWEEP | {"zeta": [16, 64], "multiples": [1, 2]})
    where = ["--config-dir", str(tmp_path / "config"), "--scale", "s", "--paper", "p"]
    bytes_of = []
    for folder in ("one", "two"):
        options = ["--results", str(tmp_path / folder), "--experiment", "e", "--label", "clag"]
        result = CliRunner().invoke(app, ["sweep", *where, *options])
        assert result.exit_code == 0, result.output
        assert "at the grid's edge in multiples" in result.output
        files = sorted((tmp_path / folder / "s/p/e/clag").glob("sweep.*"))
        bytes_of.append([file.read_bytes() for file in files])
    assert len(bytes_of[0]) == 2
    assert bytes_of[0] == bytes_of[1]


def test_a_finished_sweep_is_kept_until_its_grid_changes(tmp_path):
    said = []
    group = plan_of(tmp_path).group("p", "e", "gd")
    kept = sweep_group(group, say=said.append)
    before = group.sweep_file.stat().st_mtime_ns
    said.clear()
    assert sweep_group(group, say=said.append) == kept
    assert group.sweep_file.stat().st_mtime_ns == before
    assert said == []
    wider = plan_of(tmp_path, sweep=SWEEP | {"multiples": [1, 2, 4, 8]}).group("p", "e", "gd")
    assert sum(sweep_group(wider, say=quiet).outcomes.values()) == 4
    group.sweep_file.unlink()
    assert sweep_group(group, say=quiet) == kept
    assert group.sweep_file.is_file()


def test_a_sweep_of_other_data_is_not_kept(tmp_path):
    problem = {"name": "logistic", "data": "phishing", "lam": 0.1}
    changes = {"problem": problem, "sweep": SWEEP | {"multiples": [1], "max_rounds": 3}}
    group = plan_of(tmp_path, **changes).group("p", "e", "gd")
    made = sweep_group(group, say=quiet)
    said = []
    assert sweep_group(group, say=said.append) == made
    assert said == []
    other = made.model_copy(update={"data": made.data | {"sha256": "0" * 64}})
    write(group.best_file, other)
    assert sweep_group(group, say=said.append) == made
    assert said


def test_without_data_nothing_is_swept_and_the_reason_is_kept(tmp_path, monkeypatch):
    def nothing(name):
        raise DataUnavailable(f"{name}: nowhere")

    monkeypatch.setattr(data, "load", nothing)
    group = plan_of(tmp_path, problem={"name": "logistic", "data": "ijcnn1"}).groups[0]
    result = sweep_group(group, say=quiet)
    assert result.not_run == NotRun(kind=NotRunKind.NO_DATA, detail="ijcnn1: nowhere")
    assert read_rows(group.sweep_file) == []
    assert chosen_settings(group, result) == result.not_run
    assert train(group, Job(say=quiet)).not_run == result.not_run
    assert result.not_run.text == "no data: ijcnn1: nowhere"


def test_where_every_point_diverges_nothing_is_run_and_the_reason_is_kept(tmp_path):
    group = plan_of(tmp_path, sweep=SWEEP | {"multiples": [1e300, 1e305]}).group("p", "e", "gd")
    said = []
    manifest = train(group, Job(say=said.append))
    assert json.loads(group.best_file.read_text())["outcomes"] == {"diverged": 2}
    reason = "every point of the sweep diverged (smaller multiples, or another grid)"
    assert read_manifest(group.manifest) == manifest
    assert (manifest.runs, manifest.not_run.text) == ((), reason)
    assert manifest.not_run.kind is NotRunKind.DIVERGED
    assert said[-1] == f"e/gd: not run: {reason}"
    assert train(group, Job(say=quiet)) == manifest  # from the sweep that is there


def test_a_sweep_says_which_revision_and_which_data_it_is_of(tmp_path):
    group = plan_of(tmp_path).group("p", "e", "gd")
    listed = train(group, Job(say=quiet)).runs[0]
    run = read_card(group.directory / listed.id / "run.json")
    result = json.loads(group.best_file.read_text())
    assert result["git_revision"] == run.git_revision
    assert result["data"] == run.data
    assert len(result["data"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sweep": SWEEP | {"tolerance": 0}}, r"experiments.e.sweep.tolerance: .*greater than 0"),
        ({"sweep": SWEEP | {"ks": [1]}}, r"experiments.e.sweep.ks: unknown key"),
        ({"sweep": None}, r"experiments.e: lr: Field required"),
        ({"grid": {"runtime.workers": [2]}}, "experiments.e: grid and sweep exclude each other"),
    ],
)
def test_bad_grammar_is_one_line(tmp_path, change, line):
    with pytest.raises(ConfigError, match=line) as caught:
        plan_of(tmp_path, **change)
    assert "\n" not in str(caught.value)
