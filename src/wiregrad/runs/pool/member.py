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
from wiregrad.runs.pool.pool import MESSAGE_BYTES, Arena, compute, score, shares


@dataclass
class Work:
    """The problem of the run at hand, and this process's part in it."""

    problem: Divisible
    arena: Arena
    rank: int
    size: int

    @staticmethod
    def build(order: Mapping[str, Any], fd: int) -> Work:
        """From the run's configuration, and the memory that the processes share."""
        config = RunConfig.parse(order["config"], "pool")
        cpu = torch.device("cpu")
        problem = config.problem.build(config.runtime.workers, Seeds(config.seed), cpu)
        assert isinstance(problem, Divisible)
        arena = Arena(problem, fd)
        arena.close()
        problem.bind_parameters(arena.x)
        problem.bind_state(arena.state)
        return Work(problem, arena, order["rank"], order["size"])

    def gradients(self, step: int) -> None:
        """This process's portions of a round."""
        mine = shares(len(self.problem.worker_groups()), self.size)[self.rank]
        compute(self.problem, self.arena, step, mine)

    def score(self) -> None:
        """This process's parts of an evaluation."""
        score(self.problem, self.arena, self.rank, self.size)


def serve(orders: socket.socket) -> None:
    """Carry out orders, one after the other; an error goes back in one line."""
    work: Work | None = None
    while True:
        packet, fds, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, 1)
        if not packet:
            return
        order = json.loads(packet)
        error = None
        try:
            if order["do"] == "build":
                work = None  # its memory first
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
