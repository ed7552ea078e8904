"""Train a group at smoke scale, and print the seconds spent in its rounds and evaluations.

    python fixed_cost.py RESULTS

The time of the whole process less these seconds is the fixed cost of a job.
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
    """Replace the method `owner.name` by one that adds the seconds of its calls to `spent`."""
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
