"""Interrupted work goes on where it was, and ends with the same bytes."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from gate import PLUGIN, Gate
from processes import below
from waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
GROUP = "results/tiny/tiny/convex/top_k"
STEPS = 400


@pytest.fixture
def gate(tmp_path):
    """A gate in the only run of `gated_project`."""
    return Gate(tmp_path / "gate")


@pytest.fixture
def gated_project(project, gate):
    """One label with one run, which waits at the gate and leaves a checkpoint every round."""
    config = yaml.safe_load((project.folder / "config/config.yaml").read_text(encoding="utf-8"))
    project.write("config/config.yaml", config | {"checkpoint": 1e-9})
    paper = yaml.safe_load((project.folder / "config/papers/tiny.yaml").read_text(encoding="utf-8"))
    inner = paper["experiments"]["convex"]["problem"] | {"batch": 16}
    paper["experiments"]["convex"] |= {
        "problem": {"name": "gated", "data": inner["data"], "inner": inner, "gate": str(gate.file)},
        "budget": {"steps": STEPS},
        "log": {"every": 50},
        "seeds": [1],
    }
    project.write("config/papers/tiny.yaml", paper)
    methods = yaml.safe_load((project.folder / "config/methods.yaml").read_text(encoding="utf-8"))
    methods["top_k"]["plugin"] = PLUGIN
    project.write("config/methods.yaml", methods)
    return project


def checkpointed(project):
    return list(project.folder.glob(f"{GROUP}/*/checkpoint.pt"))


def make_figures(*targets):
    script = ROOT / "workflow/scripts/make_figures.py"
    return [sys.executable, str(script), "--scale", "tiny", "--jobs", "1", *targets]


def start_until_round(rounds, gate, project, command):
    """Start work that is held after so many rounds, of which the last has left a checkpoint."""
    gate.close_after(rounds)
    process = project.start(command, start_new_session=True)
    until(gate.reached, process)
    assert checkpointed(project)
    return process


def test_killed_work_goes_on_from_its_checkpoint(gated_project, gate):
    project, target = gated_project, f"{GROUP}/group.json"

    # The training job alone is killed: Snakemake fails, the run's folder stays.
    process = start_until_round(100, gate, project, project.command(target))
    jobs = below(process.pid, "train")
    assert jobs
    for job in jobs:
        job.kill()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0, output
    assert checkpointed(project)
    assert not (project.folder / target).exists()

    # Ctrl-C: everything ends by itself.
    process = start_until_round(200, gate, project, make_figures(target))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "the same command resumes the work" in output

    # Snakemake and its job are killed: the lock stays behind, and make figures takes it away.
    process = start_until_round(300, gate, project, make_figures(target))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert list((project.folder / ".snakemake/locks").iterdir())

    gate.open()
    process = project.start(make_figures(target))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output + project.logs()
    assert "removing its lock" in output
    resumed = project.histories("top_k")
    card = json.loads(next(project.folder.glob(f"{GROUP}/*/run.json")).read_text())
    assert card["steps"] == STEPS

    # An undisturbed run leaves the same bytes.
    for file in project.folder.glob(f"{GROUP}/**/*"):
        if file.is_file():
            file.unlink()
    project.run(target)
    assert project.histories("top_k") == resumed
    assert len(resumed) == 1


def test_a_second_call_does_nothing_and_more_seeds_run_alone(project):
    project.run("results/tiny/tiny/convex/top_k/group.json")
    assert "Nothing to be done" in project.run("results/tiny/tiny/convex/top_k/group.json")
    before = {f: f.stat().st_mtime_ns for f in project.folder.glob(f"{GROUP}/*/run.json")}
    assert len(before) == 2
    scale = {"scale": "tiny", "papers": {"tiny": {"experiments": {"convex": {"seeds": [1, 2, 3]}}}}}
    project.write("config/scales/tiny.yaml", scale)
    project.run("results/tiny/tiny/convex/top_k/group.json")
    after = {f: f.stat().st_mtime_ns for f in project.folder.glob(f"{GROUP}/*/run.json")}
    assert len(after) == 3
    assert before.items() <= after.items()


def test_data_that_cannot_be_had_fails_nothing(project, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(project.folder / "cache"))
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror")
    monkeypatch.setenv("WIREGRAD_MIRROR", str(project.folder / "empty"))
    project.run("results/tiny/tiny/convex/top_k/group.json")
    group = json.loads((project.folder / GROUP / "group.json").read_text(encoding="utf-8"))
    assert group["runs"] == []
    assert group["not_run"]["kind"] == "no_data"
    report = json.loads((project.folder / "results/tiny/data/a1a+a9a.json").read_text())
    assert report["available"] is False


def test_a_second_process_waits_for_the_first(project):
    lock = FileLock(project.folder / GROUP / ".lock")
    (project.folder / GROUP).mkdir(parents=True)
    wanted = {"--scale": "tiny", "--paper": "tiny", "--experiment": "convex", "--label": "top_k"}
    command = [
        sys.executable,
        "-m",
        "wiregrad",
        "train",
        *(w for pair in wanted.items() for w in pair),
    ]
    with lock:
        process = project.start(command)
        assert "waiting for it" in process.stdout.readline()
        assert not list(project.folder.glob(f"{GROUP}/*/run.json"))
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert (project.folder / GROUP / "group.json").exists()
