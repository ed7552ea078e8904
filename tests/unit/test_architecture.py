"""The rooms of the package: imports point down, in no circle, and the top holds rooms alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import wiregrad

ROOT = Path(__file__).parents[2]
FACES = {"__init__.py", "__main__.py", "ddp.py", "optim.py", "py.typed"}
"""Files at the top of the package: what users import, and what Python asks for."""


def test_imports_point_down_and_never_in_a_circle():
    # In a process of its own: import-linter switches off the loggers of the one that it runs in.
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_top_of_the_package_holds_rooms_and_public_faces_alone():
    top = [path for path in Path(wiregrad.__file__).parent.iterdir() if path.name != "__pycache__"]
    assert {path.name for path in top if path.is_file()} <= FACES
    assert len([path for path in top if path.is_dir()]) <= 14
