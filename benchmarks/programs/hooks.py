"""One of two processes: a step of DDP with PyTorch's hooks and of wiregrad's runtime, over gloo.

test_hooks.py starts it twice, with RANK and WORLD_SIZE in the environment. Rank 0 prints, for each
side, the least seconds of a step and the fewest bytes that crossed the loopback interface in it, in
both directions and with TCP's own. A step is a gradient of almost no cost, the exchange, and
AMSGrad (fused, in DDP). The sides take turns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import STEP, Still
from wiregrad.comm import accounting
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry as methods
from wiregrad.runtimes.distributed import ranks
from wiregrad.runtimes.distributed.exchange import Exchange
from wiregrad.runtimes.distributed.runtime import Distributed

WORKERS, LAYERS = 2, 4
Call = Callable[[], object]


def crossed() -> int:
    """Bytes that the loopback interface has received so far, which are those sent on it."""
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.strip().startswith("lo:")).split()[1])


def ddp(width: int, hook: str) -> Call:
    """A step of LAYERS matrices `[width, width]` whose gradients pass through `hook`."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(LAYERS)))
    # One bucket: with several, the callbacks of PowerSGD wait for each other over gloo.
    parallel = DistributedDataParallel(model, bucket_cap_mb=64)
    if hook == "fp16":
        parallel.register_comm_hook(None, default_hooks.fp16_compress_hook)
    elif hook.startswith("PowerSGD"):
        rank = int(hook.rpartition(" ")[2])
        state = powerSGD_hook.PowerSGDState(None, rank, start_powerSGD_iter=2)
        parallel.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
    optimiser = torch.optim.Adam(parallel.parameters(), lr=STEP.lr, amsgrad=True, fused=True)
    inputs = torch.randn(1, width)

    def step() -> None:
        optimiser.zero_grad()
        parallel(inputs).sum().backward()
        optimiser.step()

    return step


def ours(d: int, exchange: Exchange, compressor: dict[str, object]) -> Call:
    """A round of COMP-AMS with d parameters in the distributed runtime."""
    method = methods.build({"name": "comp_ams", "lr": STEP.lr, "compressor": compressor})
    convention = accounting.convention("formula")
    runtime = Distributed(Still(d, WORKERS), method, Seeds(0), convention, exchange)
    return lambda: runtime.round(STEP, measure=False)


def main() -> None:
    torch.set_num_threads(1)
    width, turns, steps = (int(argument) for argument in sys.argv[1:])
    with ranks.joined(WORKERS, "cpu") as (exchange, _):
        d = LAYERS * width * width
        sides = {f"DDP, {hook}": ddp(width, hook) for hook in HOOKS}
        sides["wiregrad, sign"] = ours(d, exchange, {"name": "scaled_sign"})
        sides["wiregrad, Top-k 1 %"] = ours(d, exchange, {"name": "top_k", "ratio": 0.01})
        found = {name: {"seconds": float("inf"), "bytes": float("inf")} for name in sides}
        for call in sides.values():
            for _ in range(4):  # PowerSGD sends everything in its first rounds
                call()
        for _ in range(turns):
            for name, call in sides.items():
                torch.distributed.barrier()
                before, began = crossed(), time.perf_counter()
                for _ in range(steps):
                    call()
                seconds = (time.perf_counter() - began) / steps
                torch.distributed.barrier()
                least = found[name]
                least["seconds"] = min(least["seconds"], seconds)
                least["bytes"] = min(least["bytes"], (crossed() - before) / steps)
        if exchange.rank == 0:
            print(json.dumps(found))


HOOKS = ("no hook", "fp16", "PowerSGD rank 1", "PowerSGD rank 4")
main()
