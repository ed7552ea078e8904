"""make installs once, anew after an interruption, in place after a change; kernels on their own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUR = 3600
KERNELS = "src/wiregrad/kernels/csrc"
PACKAGES, INSTALLED = ".venv/.packages", ".venv/.installed"


@pytest.fixture
def clone(tmp_path):
    """The files that make looks at, an hour old."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / KERNELS, tmp_path / KERNELS)
    for file in tmp_path.rglob("*"):
        moment = file.stat().st_mtime - HOUR
        os.utime(file, (moment, moment))
    return tmp_path


def install(folder):
    """The stamps of a finished installation."""
    (folder / ".venv").mkdir()
    for stamp in (PACKAGES, INSTALLED):
        (folder / stamp).touch()


def change(folder, file):
    later = (folder / INSTALLED).stat().st_mtime + 1
    os.utime(folder / file, (later, later))


def make(folder, *arguments):
    """A call of make, whatever the one that runs the tests was given: it hands its settings on."""
    found = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    settings = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", *found}
    environment = {key: value for key, value in os.environ.items() if key not in settings}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def commands(folder, target):
    """What make would run."""
    done = make(folder, "--dry-run", target)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["figures", "test", "lint", "bench", "docs"])
def test_every_target_installs_where_there_is_no_environment(clone, target):
    planned = commands(clone, target)
    assert planned.index("-m venv --clear .venv") < planned.index("requirements.lock")
    assert planned.index("requirements.lock") < planned.index(f"touch {PACKAGES}")
    assert planned.index(f"touch {PACKAGES}") < planned.index("--editable .")
    assert planned.index("--editable .") < planned.index(f"touch {INSTALLED}")


def test_an_interrupted_installation_is_begun_anew(clone):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").touch()
    planned = commands(clone, "test")
    # The shell decides: without the stamp the environment is made again, emptied first.
    assert f"test -f {PACKAGES} || python3.11 -m venv --clear .venv" in planned


def test_a_second_call_installs_nothing(clone):
    install(clone)
    assert "pip install" not in commands(clone, "figures")
    assert "make_figures.py --scale smoke" in commands(clone, "figures")


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_list_of_dependencies_is_installed(clone, file):
    install(clone)
    change(clone, file)
    assert "--requirement requirements.lock" in commands(clone, "figures")


@pytest.mark.parametrize("file", ["setup.py", f"{KERNELS}/sign.inc"])
def test_changed_kernels_are_compiled_and_nothing_else_is_installed(clone, file):
    install(clone)
    change(clone, file)
    planned = commands(clone, "figures")
    assert "--editable ." in planned
    assert "requirements.lock" not in planned


def test_make_refuses_where_python_is_missing(clone):
    done = make(clone, "test", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0
    assert "error: python-that-is-not-there not found" in done.stderr
    assert not (clone / PACKAGES).exists()
