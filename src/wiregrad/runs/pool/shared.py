"""What the processes of a pool share: tensors in memory that all map, and who computes what."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

import torch

from wiregrad.core.errors import RuntimeFailure
from wiregrad.problems.base import Divisible

ALIGNMENT = 64
"""Bytes, as torch aligns its own: some kernels sum in another order otherwise."""


def assign_portions(portions: int, size: int) -> list[list[int]]:
    """Which portions each of `size` processes computes.

    Portion 0 stays with process 0, which also drives the run and gets no more than any other.
    """
    dealt: list[list[int]] = [[] for _ in range(size)]
    for portion in range(portions):
        dealt[portion if portion < size else (portion - size + 1) % size].append(portion)
    return dealt


class SharedTensors:
    """The tensors of one problem that the processes of a pool share, in one unnamed mapped file.

    `x` `[d]`, `gradients` `[n, d]`, `scores` `[parts, 2]` and, by name, the problem's `state`. The
    driving process makes the file, the others map it by its descriptor `fd`. Raises RuntimeFailure
    where the file has another size: the processes did not build the same problem.
    """

    def __init__(self, problem: Divisible, fd: int | None = None) -> None:
        n, d = problem.workers, problem.dim
        state = problem.state_dict()
        wanted = {
            "x": ((d,), problem.dtype),
            "gradients": ((n, d), problem.dtype),
            "scores": ((problem.evaluation_chunks, 2), torch.float64),
        } | {f"state/{name}": (tuple(t.shape), t.dtype) for name, t in state.items()}
        places, end = {}, 0
        for name, (shape, dtype) in wanted.items():
            places[name] = end
            size = max(1, torch.Size(shape).numel()) * dtype.itemsize
            end += -(-size // ALIGNMENT) * ALIGNMENT
        self.nbytes = end
        self.fd = os.memfd_create("wiregrad-pool") if fd is None else fd
        try:
            if fd is None:
                os.truncate(self.fd, end)
            elif os.fstat(fd).st_size != end:
                raise RuntimeFailure("the processes of the pool did not build the same problem")
            memory = mmap.mmap(self.fd, end)
        except BaseException:
            os.close(self.fd)
            raise
        tensors = {
            name: torch.frombuffer(
                memory, dtype=dtype, count=torch.Size(shape).numel(), offset=places[name]
            ).view(shape)
            for name, (shape, dtype) in wanted.items()
        }
        self.x, self.gradients = tensors["x"], tensors["gradients"]
        self.scores = tensors["scores"]
        self.state = {name: tensors[f"state/{name}"] for name in state}

    def close(self) -> None:
        """Close the file; its mapping stays while the tensors live."""
        os.close(self.fd)


def compute(problem: Divisible, shared: SharedTensors, step: int, mine: Sequence[int]) -> None:
    """Compute the gradients of the portions `mine` into their rows of the shared gradients."""
    portions = problem.worker_groups()
    for index in mine:
        rows = portions[index]
        out = shared.gradients[rows[0] : rows[-1] + 1]
        problem.gradients(shared.x, step, out, rows)


def score(problem: Divisible, shared: SharedTensors, rank: int, size: int) -> None:
    """Compute the parts of an evaluation that fall to process `rank` of `size`."""
    for part in range(rank, problem.evaluation_chunks, size):
        problem.evaluate_chunk(shared.x, part, shared.scores[part])
