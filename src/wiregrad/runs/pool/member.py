"""A member of a pool: `python -m wiregrad.runs.pool.member FD`, which a pool starts.

It reads orders from the socket FD and carries them out until the other end closes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.core.rng import Seeds
from wiregrad.problems.base import Divisible
from wiregrad.runs.config import RunConfig
from wiregrad.runs.pool.pool import MESSAGE_BYTES
from wiregrad.runs.pool.shared import SharedTensors, assign_portions, compute, score


@dataclass
class Work:
    """The problem of the current run, and this process's share of the work."""

    problem: Divisible
    shared: SharedTensors
    rank: int
    size: int

    @staticmethod
    def build(order: Mapping[str, Any], fd: int) -> Work:
        """Build the problem of an order's configuration on the shared file `fd`."""
        config = RunConfig.parse(order["config"], "pool")
        cpu = torch.device("cpu")
        problem = config.problem.build(config.runtime.workers, Seeds(config.seed), cpu)
        assert isinstance(problem, Divisible)
        shared = SharedTensors(problem, fd)
        shared.close()
        problem.bind_parameters(shared.x)
        problem.bind_state(shared.state)
        return Work(problem, shared, order["rank"], order["size"])

    def gradients(self, step: int) -> None:
        """Compute this process's portions of the gradients of a round."""
        mine = assign_portions(len(self.problem.worker_groups()), self.size)[self.rank]
        compute(self.problem, self.shared, step, mine)

    def score(self) -> None:
        """Compute this process's parts of an evaluation."""
        score(self.problem, self.shared, self.rank, self.size)


def serve(orders: socket.socket) -> None:
    """Carry out orders, one after the other; an error is answered in one line."""
    work: Work | None = None
    while True:
        packet, fds, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, 1)
        if not packet:
            return
        order = json.loads(packet)
        error = None
        try:
            if order["do"] == "build":
                work = None  # free its memory first
                work = Work.build(order, fds[0])
            elif work is None:
                raise RuntimeError("no problem was built")
            elif order["do"] == "gradients":
                work.gradients(order["step"])
            else:
                work.score()
        except Exception as raised:  # noqa: BLE001 - whatever it is, the driving process reports it
            error = " ".join(f"{type(raised).__name__}: {raised}".split())[:500]
        orders.send(json.dumps({"error": error}).encode())


def main() -> None:
    """Entry point."""
    torch.set_num_threads(1)
    try:
        with socket.socket(fileno=int(sys.argv[1])) as orders:
            serve(orders)
    except ConnectionError:  # the driving process has ended
        os._exit(1)


if __name__ == "__main__":
    main()
