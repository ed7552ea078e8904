"""Interrupted work goes on where it was, and ends with the same bytes."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
GROUP = "results/tiny/tiny/convex/top_k"


pytestmark = pytest.mark.timeout(1800)  # a busy machine is slow, not wrong


@pytest.fixture
def long_project(project):
    """One label whose run takes some seconds, with a checkpoint every 0.3 s."""
    config = yaml.safe_load((project.folder / "config/config.yaml").read_text(encoding="utf-8"))
    project.write("config/config.yaml", config | {"checkpoint": 0.3})
    changed = {
        "problem": {"batch": 16},
        "budget": {"steps": 4000},
        "log": {"every": 500},
        "seeds": [1],
    }
    scale = {"scale": "tiny", "papers": {"tiny": {"experiments": {"convex": changed}}}}
    project.write("config/scales/tiny.yaml", scale)
    return project


def wait_for(condition, process, seconds=500):
    """What `condition` found; fails when the process ends or the time is over before it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    raise AssertionError("nothing came in time")


def checkpointed(project):
    return list(project.folder.glob(f"{GROUP}/*/checkpoint.pt"))


def training(process):
    """The processes below `process` that train."""
    below = psutil.Process(process.pid).children(recursive=True)
    found = [p for p in below if "train" in p.cmdline()]
    assert found, [p.cmdline() for p in below]
    return found


def make_figures(*targets):
    script = ROOT / "workflow/scripts/make_figures.py"
    return [sys.executable, str(script), "--scale", "tiny", "--jobs", "1", *targets]


def start_and_wait_for_a_checkpoint(project, target):
    before = checkpointed(project)[0].stat().st_mtime_ns
    process = project.start(make_figures(target), start_new_session=True)
    wait_for(lambda: checkpointed(project)[0].stat().st_mtime_ns > before, process)
    return process


def test_killed_work_goes_on_from_its_checkpoint(long_project):
    target = f"{GROUP}/group.json"

    # The training job alone is killed: Snakemake fails, the run's folder stays.
    process = long_project.start(long_project.command(target))
    wait_for(lambda: checkpointed(long_project), process)
    for job in training(process):
        job.kill()
    output, _ = process.communicate(timeout=500)
    assert process.returncode != 0, output
    assert checkpointed(long_project)
    assert not (long_project.folder / target).exists()

    # Ctrl-C: everything ends by itself.
    process = start_and_wait_for_a_checkpoint(long_project, target)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 130, output
    assert "the same command resumes the work" in output

    # Snakemake and its job are killed: the lock stays behind, and make figures takes it away.
    process = start_and_wait_for_a_checkpoint(long_project, target)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=500)
    assert list((long_project.folder / ".snakemake/locks").iterdir())

    process = long_project.start(make_figures(target))
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output + long_project.logs()
    assert "removing its lock" in output
    resumed = long_project.histories("top_k")
    card = json.loads(next(long_project.folder.glob(f"{GROUP}/*/run.json")).read_text())
    assert card["steps"] == 4000

    # An undisturbed run leaves the same bytes.
    for file in long_project.folder.glob(f"{GROUP}/**/*"):
        if file.is_file():
            file.unlink()
    long_project.run(target)
    assert long_project.histories("top_k") == resumed
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
    process.communicate(timeout=500)
    assert process.returncode == 0
    assert (project.folder / GROUP / "group.json").exists()
