"""Reading a plan's groups: what was run, what was not and why, and files that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import histories
import pytest

from wiregrad.analysis.results import aggregate
from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_json
from wiregrad.studies.plan import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    histories.config_dir(tmp_path / "config")
    return histories.toy_tree(tmp_path)


def test_every_logged_row_of_every_run_is_there(plan):
    found = aggregate.collect(plan)
    assert list(found.frame.columns) == aggregate.COLUMNS
    assert found.frame["run_id"].nunique() == 2 * 3 + 3 * 2
    assert len(found.frame) == 4 * (2 * 3 + 3 * 2)
    task = found.of("toy", "task").frame
    assert set(task["label"]) == {"dense", "sparse"}
    assert sorted(task["seed"].unique()) == [1, 2, 3]
    assert set(found.of("toy", "scaling").frame["workers"]) == {2, 4, 8}
    assert found.revisions == (histories.REVISION,)
    assert found.labels == ("dense", "sparse", "absent")


def test_groups_that_were_not_run_say_why(plan):
    for group in plan.groups:
        if group.label == "dense" and group.experiment == "task":
            group.manifest.unlink()
    found = aggregate.collect(plan)
    reasons = {(g.experiment, g.label): g.reason for g in found.groups}
    assert reasons["task", "sparse"] is None
    assert reasons["task", "absent"] == "no data: toy <i>is gone</i>"
    assert reasons["task", "dense"] == "not run yet"
    assert reasons["elsewhere", "dense"] == "left out on purpose"
    assert aggregate.not_run(reasons["task", "dense"]) == "not run yet"
    assert aggregate.not_run(reasons["elsewhere", "dense"]) == "not run: left out on purpose"


def test_only_what_is_asked_for_is_read(plan):
    for file in plan.group("toy", "scaling", "sparse").directory.rglob("history.parquet"):
        file.write_bytes(b"")
    found = aggregate.collect(plan, {("toy", "task")})
    assert {group.experiment for group in found.groups} == {"task"}


def test_rates_and_tuning_come_with_the_group(plan):
    group = aggregate.collect(plan).of("toy", "task").group("dense")
    assert group is not None
    assert group.rates == (0.01,)
    assert group.tuning is not None
    assert group.tuning.edge


def damage(plan: Plan, what: str) -> None:
    group = plan.group("toy", "task", "dense")
    run = group.directory / group.runs[0].run_id
    if what == "history":
        frame = histories.history([9.0, 8.0])
        histories.write_group(plan.group("toy", "task", "absent"), lambda *_: frame)
        other = plan.group("toy", "task", "absent")
        source = other.directory / other.runs[0].run_id / "history.parquet"
        (run / "history.parquet").write_bytes(source.read_bytes())
    elif what == "card":
        (run / "run.json").write_text("{}")
    elif what == "missing":
        (run / "history.parquet").unlink()
    else:
        manifest = json.loads(group.manifest.read_text())
        manifest["runs"][0] |= {"id": "../../../elsewhere"} if what == "path" else {"seed": "x"}
        write_json(group.manifest, manifest)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("history", r"history\.parquet: not the history that its group\.json"),
        ("card", r"run\.json: "),
        ("missing", r"history\.parquet: not a readable history"),
        ("path", r"group\.json: runs\.0\.id: "),
        ("seed", r"group\.json: runs\.0\.seed: "),
    ],
)
def test_a_damaged_file_is_named(plan, what, message):
    damage(plan, what)
    with pytest.raises(RecordError, match=message) as caught:
        aggregate.collect(plan)
    assert "\n" not in str(caught.value)


def test_nothing_run_is_an_empty_table_with_all_columns(tmp_path):
    plan = histories.load_plan("cpu", histories.config_dir(tmp_path / "c"), results=tmp_path / "r")
    found = aggregate.collect(plan)
    assert list(found.frame.columns) == aggregate.COLUMNS
    assert found.frame.empty
    assert found.of("toy", "task").frame.empty
