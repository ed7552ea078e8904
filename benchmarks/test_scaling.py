"""The time of a round without gradients as n grows, and the peak memory of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ratios import Goal, Row, Turns
from synthetic import STEP, simulated

pytestmark = pytest.mark.benchmark(timer=time.process_time)
GROUP = "Memory and scaling"
SIGN = {"name": "comp_ams", "compressor": "scaled_sign", "blocks": "whole"}
WORKERS = (4, 8, 16, 32, 64)
PROGRAM = Path(__file__).parent / "programs" / "peak_memory.py"


def test_linear_in_workers(turns: Turns, table: list[Row], quick: bool) -> None:
    """The largest distance of the five times from a straight line in n, relative to the line."""
    d = 1000 if quick else 500_000
    runtimes = {n: simulated(d, n, **SIGN) for n in WORKERS}
    rounds = {str(n): lambda n=n: runtimes[n].round(STEP, measure=False) for n in WORKERS[:-1]}
    took = turns(lambda: runtimes[WORKERS[-1]].round(STEP, measure=False), rounds)
    seconds = np.array([took[str(n)] for n in WORKERS[:-1]] + [took["ours"]])
    n = np.array(WORKERS, dtype=float)
    slope, start = np.polyfit(n, seconds, 1, w=1 / seconds)
    off = float(np.abs(seconds / (start + slope * n) - 1).max())
    each = ", ".join(f"{k}: {1e3 * s:.3g}" for k, s in zip(WORKERS, seconds, strict=True))
    detail = f"ms at n = {each}; per worker {1e3 * slope:.3g} ms"
    table.append(
        Row(
            GROUP, "round, n = 4 … 64", "a straight line", off, "%", detail, Goal(0.1, at_most=True)
        )
    )


def test_peak_memory(table: list[Row], quick: bool) -> None:
    """Peak memory in a process of its own; programs/peak_memory.py says what is subtracted."""
    d, n = (10_000, 4) if quick else (10_000_000, 8)
    found = {name: measured(name, d, n) for name in ("scaled_sign", "top_k", "qsgd")}
    for name, peak in found.items():
        detail = (
            f"{peak['beyond'] / 1e6:.0f} MB beyond x, problem and {peak['state'] / 1e6:.0f} MB of "
            f"method state; [n, d] is {peak['matrix'] / 1e6:.0f} MB"
        )
        goal = Goal(1.0, 0.5, at_most=True)
        share = peak["beyond"] / peak["matrix"]
        what = f"peak of a run, {name.replace('_', ' ')}"
        table.append(Row(GROUP, what, "× [n, d]", share, "×", detail, goal))


def measured(compressor: str, d: int, n: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, PROGRAM, compressor, str(d), str(n)],
        capture_output=True,
        text=True,
        check=True,
        # Freed memory returns to the system at once, so that the peak is memory in use.
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found
