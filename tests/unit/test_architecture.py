"""The rooms of the package: imports point down, in no circle, and the top holds rooms alone."""

from __future__ import annotations

from pathlib import Path

from importlinter import cli

import wiregrad

ROOT = Path(__file__).parents[2]
FACES = {"__init__.py", "__main__.py", "ddp.py", "optim.py", "py.typed"}
"""Files at the top of the package: what users import, and what Python asks for."""


def test_imports_point_down_and_never_in_a_circle(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


def test_the_top_of_the_package_holds_rooms_and_public_faces_alone():
    top = [path for path in Path(wiregrad.__file__).parent.iterdir() if path.name != "__pycache__"]
    assert {path.name for path in top if path.is_file()} <= FACES
    assert len([path for path in top if path.is_dir()]) <= 14
