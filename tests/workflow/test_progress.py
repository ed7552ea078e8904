"""The progress display counts runs, parts of runs and the time left from what lies on disk."""

import importlib
import io
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import histories
import pytest
import yaml
from rich.console import Console

from wiregrad.runs import record
from wiregrad.studies.plan import load_plan

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


@pytest.fixture
def run_progress(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("run_progress")


@pytest.fixture
def tracker(project, run_progress):
    """Four runs of the small project, two jobs side by side."""
    config = yaml.safe_load((project.folder / "config/config.yaml").read_text(encoding="utf-8"))
    folders = {key: str(project.folder / config[key]) for key in ("config_dir", "results")}
    made = run_progress.Tracker("tiny", config | folders, jobs=2)
    plan = load_plan("tiny", folders["config_dir"], results=folders["results"])
    made.folders = [folder for group in plan.groups for folder in run_progress.run_folders(group)]
    return made


def leave(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")


def leave_card(folder, **about):
    record.write_card(folder / record.CARD, histories.card(1, **about))


def test_nothing_is_known_before_the_first_run(tracker):
    state = tracker.state()
    assert (state.done, state.total, state.seconds_left, state.now) == (0, 4, None, "")


def test_of_the_targets_only_papers_narrow_what_is_counted(tracker, project):
    another = yaml.safe_load((project.folder / "config/papers/tiny.yaml").read_text()) | {
        "paper": "another"
    }
    another["experiments"]["convex"]["seeds"] = [1]
    project.write("config/papers/another.yaml", another)
    for targets, total in (
        (["tiny"], 4),
        (["another"], 2),
        (["all"], 6),
        (["tiny", "report"], 6),
        (["tiny", "another"], 6),
    ):
        tracker.targets = targets
        assert tracker.state().total == total


def test_time_left_is_what_is_missing_at_the_pace_so_far(tracker):
    first, second, *_ = tracker.folders
    leave_card(first, wall_seconds=10.0)
    leave(second, "progress.json", json.dumps({"done": 30, "total": 60}))
    state = tracker.state()
    assert state.done == 1.5
    assert state.seconds_left == pytest.approx(2.5 * 10 / 2)
    assert state.now == "convex/dist_ams"


@pytest.mark.parametrize("content", ["", "{", '{"done": 3}', '{"done": 3, "total": 0}'])
def test_a_half_written_file_is_no_progress(tracker, content):
    leave(tracker.folders[0], "progress.json", content)
    leave(tracker.folders[1], "run.json", content)
    assert tracker.state().done == 0


def test_without_a_terminal_it_prints_lines(tracker, run_progress, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(run_progress, "LINE_SECONDS", 0.0)
    ticking = SimpleNamespace(monotonic=itertools.count(step=30).__next__)
    monkeypatch.setattr(run_progress, "time", ticking)
    with run_progress.shown(tracker, Console(file=out)) as refresh:
        refresh()
        for folder in tracker.folders:
            leave_card(folder, wall_seconds=90.0)
        refresh()
        refresh()
    assert out.getvalue().splitlines() == [
        "0 of 4 runs after 0:30, time left unknown",
        "4 of 4 runs after 1:00, drawing and checking",
    ]
