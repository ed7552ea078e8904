"""make installs once, anew after an interruption, and in place after a change of the lock."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUR = 3600


@pytest.fixture
def clone(tmp_path):
    """The files that make looks at, an hour old."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    age(tmp_path, HOUR)
    return tmp_path


def age(folder, seconds):
    for file in folder.iterdir():
        moment = file.stat().st_mtime - seconds
        os.utime(file, (moment, moment))


def commands(folder, target):
    """What make would run."""
    call = ["make", "--dry-run", target]
    environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL"}}
    done = subprocess.run(
        call, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("target", ["figures", "test", "lint", "bench", "docs"])
def test_every_target_installs_where_there_is_no_environment(clone, target):
    planned = commands(clone, target)
    assert planned.index("-m venv --clear .venv") < planned.index("requirements.lock")
    assert planned.index("--editable .") < planned.index("touch .venv/.installed")


def test_an_interrupted_installation_is_begun_anew(clone):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").touch()
    planned = commands(clone, "test")
    # The shell decides: without the stamp the environment is made again, emptied first.
    assert "test -f .venv/.installed || python3.11 -m venv --clear .venv" in planned


def test_a_second_call_installs_nothing(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv/.installed").touch()
    assert "pip install" not in commands(clone, "figures")
    assert "make_figures.py --scale smoke" in commands(clone, "figures")


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_list_of_dependencies_is_installed(clone, file):
    (clone / ".venv").mkdir()
    (clone / ".venv/.installed").touch()
    os.utime(clone / file, (later := (clone / ".venv/.installed").stat().st_mtime + 1, later))
    assert "pip install" in commands(clone, "figures")


def test_make_refuses_where_python_is_missing(clone):
    call = ["make", "test", "PYTHON=python-that-is-not-there"]
    done = subprocess.run(call, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "error: python-that-is-not-there not found" in done.stderr
    assert not (clone / ".venv/.installed").exists()
