"""One rank of the tests: runs configurations and counts what passes through torch.distributed.

rank.py CASES.json REPORTS      CASES: {name: run config}; writes REPORTS/<rank>.json
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from wiregrad.comm import accounting
from wiregrad.core.rng import Seeds
from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Loop
from wiregrad.runs.rank_checkpoint import RankCheckpointer
from wiregrad.runtimes.distributed import ranks
from wiregrad.runtimes.distributed.exchange import Exchange
from wiregrad.runtimes.distributed.runtime import Distributed

seen: Counter[str] = Counter()
"""Bytes that this rank gave to the sends and broadcasts of torch.distributed, by kind."""


def count_calls() -> None:
    """Wrap the functions that carry bytes away from a rank."""
    isend, broadcast, all_gather = dist.isend, dist.broadcast, dist.all_gather

    def counted(verb: str, tensor: torch.Tensor) -> None:
        kind = "payload" if tensor.dtype == torch.uint8 else "control"
        seen[f"{verb}.{kind}"] += tensor.numel() * tensor.element_size()

    def counting_isend(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        counted("sent", tensor)
        return isend(tensor, *args, **kwargs)

    def counting_broadcast(tensor: torch.Tensor, src: int, *args: Any, **kwargs: Any) -> Any:
        if src == dist.get_rank():
            counted("broadcast", tensor)
        return broadcast(tensor, src, *args, **kwargs)

    def counting_all_gather(found: Any, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        counted("gathered", tensor)
        return all_gather(found, tensor, *args, **kwargs)

    dist.isend, dist.broadcast, dist.all_gather = (
        counting_isend,
        counting_broadcast,
        counting_all_gather,
    )


def run(config: RunConfig, exchange: Exchange) -> dict[str, Any]:
    seen.clear()
    exchange.control_bytes = 0
    seeds = Seeds(config.seed)
    problem = config.problem.build(config.runtime.workers, seeds, torch.device("cpu"))
    convention = accounting.convention(config.log.convention)
    replicated = config.runtime.server == "replicated"
    runtime = Distributed(
        problem, config.method, seeds, convention, exchange, replicated=replicated
    )
    own = watch_own_payloads(runtime)
    loop = Loop(config, problem, runtime)
    loop.run()
    return {
        "rows": loop.rows,
        "outcome": loop.outcome,
        "x": runtime.x.tolist(),
        "seen": dict(seen),
        "own": own["bytes"],
        "meter": dataclasses.asdict(runtime.meter),
        "control_bytes": runtime.control_bytes,
    }


def watch_own_payloads(runtime: Distributed) -> Counter[str]:
    """Bytes of this rank's uplink payloads, on their way to wherever the server is."""
    own: Counter[str] = Counter()
    work = runtime.work

    def watched(*args: Any) -> Any:
        frame = work(*args)
        own["bytes"] += len(frame.data)
        return frame

    runtime.work = watched
    return own


def checkpoints(exchange: Exchange, directory: Path) -> dict[str, Any]:
    """Which checkpoint each rank goes on from when they were cut off at different places."""
    keeper = RankCheckpointer(directory, "this run", 0.0, exchange)
    found = {"none": keeper.load()}
    keeper.save({"done": 3})
    keeper.save({"done": 5})
    found["files"] = sorted(file.name for file in directory.glob(f"*rank{exchange.rank}.*"))
    if exchange.rank == 1:  # the others were cut off before they had written theirs
        state = torch.load(keeper.path, weights_only=True)
        torch.save(state | {"done": 8}, directory / "checkpoint.rank1.step8.pt")
    found["one is ahead"] = keeper.load()["done"]
    other = RankCheckpointer(directory, "another run", 0.0, exchange)
    found["of another run"] = other.load()
    keeper.save({"done": 9})
    if exchange.rank == 2:
        keeper.path.write_bytes(b"torn")
    found["one is damaged"] = keeper.load()
    keeper.clear()
    return found


def main(cases: Path, reports: Path) -> None:
    torch.set_num_threads(1)
    configs = {
        name: RunConfig.parse(config, name)
        for name, config in json.loads(cases.read_text()).items()
    }
    workers = next(iter(configs.values())).runtime.workers
    count_calls()
    with ranks.joined(workers, "cpu") as (exchange, _):
        found = {name: run(config, exchange) for name, config in configs.items()}
        found["checkpoints"] = checkpoints(exchange, reports)
        (reports / f"{exchange.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
