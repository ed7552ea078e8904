"""Print, as JSON, the peak resident memory of a simulated run beyond its method's state.

    python peak_memory.py COMPRESSOR D N

The baseline is measured after the imports and after a run of the same kind with a small d, so that
it contains code and thread stacks. Then the run of COMP-AMS is built and executed. The method's
state (residuals `[n, d]`, x of server and workers, three moments) is subtracted; gradients are not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import STEP, simulated
from wiregrad.runtimes.base import tensors_of

SETTINGS = {"top_k": {"ratio": 0.01}, "qsgd": {"levels": 7}}


def status(key: str) -> int:
    """The value of `key` in /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key + ":"))


def main() -> None:
    torch.set_num_threads(1)
    name, d, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    method = {"name": "comp_ams", "compressor": {"name": name} | SETTINGS.get(name, {})}
    simulated(1000, n, **method)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # reset the peak
    before = status("VmRSS")
    runtime = simulated(d, n, **method)
    for _ in range(2):
        runtime.round(STEP, measure=False)
    parts = [tensor for part in runtime.state for tensor in tensors_of(part).values()]
    state = sum(tensor.nbytes for tensor in parts)
    beyond = status("VmHWM") - before - state
    print(json.dumps({"beyond": beyond, "state": state, "matrix": 4 * n * d}))


main()
