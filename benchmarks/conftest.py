"""`pytest benchmarks` measures the rows and prints them as a table; --report also writes files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# To be set before torch is imported: one thread, which does not spin while it waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
import torch

import report
from ratios import Row, Turns

ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("wiregrad benchmarks")
    group.addoption("--report", type=Path, help="folder for report.md, rows.json and the chart")
    group.addoption(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    config.stash[STARTED] = report.machine()


STARTED = pytest.StashKey[dict[str, str]]()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[Row]:
    """The rows so far; each benchmark appends its own."""
    return request.config.stash[ROWS]


@pytest.fixture
def turns(request: pytest.FixtureRequest, benchmark: object, quick: bool) -> Turns:
    marker = request.node.get_closest_marker("benchmark")
    clock = marker.kwargs["timer"] if marker else time.perf_counter
    return Turns(benchmark, 1 if quick else 25, clock)


def pytest_terminal_summary(config: pytest.Config) -> None:
    rows = report.in_order(config.stash[ROWS])
    if not rows:
        return
    about = config.stash[STARTED]
    report.show(rows, about)
    folder = config.getoption("--report")
    if folder is not None:
        for path in report.write(rows, about, folder):
            print(path)
