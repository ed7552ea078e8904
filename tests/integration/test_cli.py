"""The command line: one line for what is wrong, and nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from wiregrad import data
from wiregrad.core.errors import DataUnavailable
from wiregrad.runs import record
from wiregrad.studies.plan import load_plan

GOOD = {
    "problem": {"name": "logistic", "data": "a1a|a9a"},
    "method": {"name": "comp_ams", "lr": 0.01, "compressor": {"name": "top_k", "k": 5}},
    "runtime": {"workers": 4},
    "budget": {"steps": 3},
    "seed": 0,
}


def wiregrad(*arguments):
    command = [sys.executable, "-m", "wiregrad", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    return path


def test_run_leaves_history_timing_and_card_and_set_overrides(tmp_path, config):
    try:
        data.load("a1a|a9a")
    except DataUnavailable as error:
        pytest.skip(str(error))
    out = tmp_path / "out"
    done = wiregrad("run", config, "--out", out, "--set", "budget.steps=4", "--set", "seed=7")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == [record.HISTORY, record.CARD, record.TIMING]
    card = record.read_card(out / record.CARD)
    assert (card.steps, card.seed, card.outcome) == (4, 7, "completed")
    assert record.read_history(out / record.HISTORY).column("step").to_pylist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (["--set", "method.lr=fast"], "run.yaml: method.lr: "),
        (["--set", "method.compressor.k=0"], "run.yaml: method.compressor.k: "),
        (["--set", "problem.data=nothing"], "nothing"),
        (["--set", "bugdet.steps=1"], "run.yaml: bugdet: unknown key"),
    ],
)
def test_a_bad_configuration_is_one_line_and_leaves_nothing(tmp_path, config, extra, line):
    out = tmp_path / "out"
    done = wiregrad("run", config, "--out", out, *extra)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_a_missing_and_an_unreadable_file_are_named(tmp_path):
    done = wiregrad("run", tmp_path / "no.yaml", "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no.yaml: cannot be read" in done.stderr
    (tmp_path / "bad.yaml").write_text("{")
    done = wiregrad("run", tmp_path / "bad.yaml", "--out", tmp_path / "out")
    assert "bad.yaml: not YAML" in done.stderr


def test_schema_is_json():
    printed = wiregrad("schema", "run").stdout
    assert json.loads(printed)["title"] == "wiregrad run"
    assert wiregrad("run", "--schema").stdout == printed
    for kind in ("paper", "methods", "scale"):
        assert json.loads(wiregrad("schema", kind).stdout)["title"] == f"wiregrad {kind}"


def test_a_plan_is_listed_group_by_group():
    lines = wiregrad("plan", "--scale", "smoke", "--paper", "comp_ams").stdout.splitlines()
    groups = load_plan("smoke", papers=["comp_ams"]).groups
    assert len(lines) == len(groups)
    for line, group in zip(lines, groups, strict=True):
        assert line.startswith(f"{group.paper}/{group.experiment}/{group.label}: ")
        assert ("skipped: " in line) == (group.skip is not None)
    unknown = wiregrad("plan", "--paper", "comp_amz")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)


def test_a_distributed_run_outside_its_launcher_is_one_line(tmp_path, config):
    out = tmp_path / "out"
    done = wiregrad("run", config, "--out", out, "--set", "runtime.name=distributed")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "`wiregrad launch -n 4 CONFIG`" in done.stderr
    assert "runtime.name: simulated" in done.stderr
    assert not out.exists()


def test_module_and_script_are_the_same_program():
    script = Path(sys.executable).with_name("wiregrad")
    one = subprocess.run([script, "methods"], capture_output=True, text=True, check=True)
    assert one.stdout == wiregrad("methods").stdout
