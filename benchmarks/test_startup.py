"""Seconds spent on the interpreter, the imports and everything else that is not a round.

These are absolute times and need a quiet machine. The data must have been prepared before. The
second row is left out where MNIST is not available.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratios import Goal, Row, Turns
from wiregrad import data
from wiregrad.core.errors import DataUnavailable

GROUP = "Start-up"
ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).parent / "programs" / "fixed_cost.py"


@pytest.fixture(autouse=True)
def _bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python keep compiled modules, as for an installed program."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


def test_help(turns: Turns, table: list[Row]) -> None:
    def call(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    took = turns(
        lambda: call("-m", "wiregrad", "--help"), {"bare": lambda: call("-c", "pass")}, rounds=8
    )
    detail = f"of which a bare interpreter {took['bare']:.3f} s"
    goal = Goal(0.4, at_most=True)
    table.append(Row(GROUP, "wiregrad --help", "the clock", took["ours"], "s", detail, goal))


def test_fixed_cost(table: list[Row], quick: bool, tmp_path: Path) -> None:
    try:
        data.load("mnist|mnist-5k")
    except DataUnavailable as error:
        pytest.skip(str(error))
    found = []
    for number in range(1 if quick else 4):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, PROGRAM, tmp_path / str(number)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ,
        )
        wall = time.perf_counter() - began
        found.append((wall - json.loads(done.stdout.splitlines()[-1]), wall))
    fixed, wall = min(found)
    detail = f"of {wall:.1f} s of a training job: MNIST at smoke scale, 2 runs"
    goal = Goal(4.0, at_most=True)
    table.append(Row(GROUP, "fixed cost of a job", "the clock", fixed, "s", detail, goal))
