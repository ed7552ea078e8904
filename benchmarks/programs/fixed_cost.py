"""Trains a group at smoke scale and prints the seconds that its rounds and evaluations took.

    python fixed_cost.py RESULTS

The clock around the whole process, less these, is what a job costs whatever it trains.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from wiregrad.cli import main
from wiregrad.problems.deep import DeepProblem
from wiregrad.runtimes.simulated import Simulated

spent = 0.0


def timed(owner: type, name: str) -> None:
    """Add what calls of this method take to `spent`."""
    call: Callable[..., Any] = getattr(owner, name)

    def measured(*arguments: Any, **keywords: Any) -> Any:
        global spent  # noqa: PLW0603
        began = time.perf_counter()
        try:
            return call(*arguments, **keywords)
        finally:
            spent += time.perf_counter() - began

    setattr(owner, name, measured)


timed(Simulated, "round")
timed(DeepProblem, "evaluate")
job = "train --scale smoke --paper comp_ams --experiment mnist --label comp_ams_block_sign"
sys.argv = ["wiregrad", *job.split(), "--device", "cpu", "--results", sys.argv[1]]
try:
    main()
finally:
    print(spent)
