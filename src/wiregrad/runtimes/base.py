"""What the loop of a run needs from a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.link import Links
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Bits:
    """Bits since the start: uplink as the mean over workers, downlink as one copy."""

    uplink_bits_wire: int = 0
    downlink_bits_wire: int = 0
    uplink_bits_paper: int = 0
    downlink_bits_paper: int = 0


class AppliedGradient(NamedTuple):
    """A gradient that the server has applied, and when."""

    update: int
    """The server's update, from 1, that used it."""
    worker: int
    staleness: int
    """Updates between the reading of x and this one."""
    start: float
    """When its computation began: seconds on the runtime's clock; updates where it has none."""
    end: float
    """When its computation ended."""
    applied: float
    """When the server used it."""


class Order(IntEnum):
    """What all processes of a run do next."""

    GO = 0
    SAVE = 1
    """Write a checkpoint, then go on."""
    STOP = 2


class Runtime(Protocol):
    """One process's part in a run."""

    updates_per_round: int
    """Rounds of this runtime that use one gradient of every worker; 1 if a round waits for all."""

    @property
    def x(self) -> torch.Tensor:
        """The point `[d]` that the workers hold."""

    @property
    def leads(self) -> bool:
        """Whether this process evaluates and records."""

    @property
    def control_bytes(self) -> int:
        """Bytes that are no payload: headers of messages, and orders between processes."""

    def round(self, step: Step, measure: bool) -> None:
        """One update of x; with `measure`, the compression error is kept too.

        Raises NonFiniteError on divergence.
        """

    def applied(self) -> Sequence[AppliedGradient]:
        """The gradients of the last round, where their staleness is kept; else none."""

    def bits(self) -> Bits:
        """Bits since the start, as a history counts them."""

    def compression_error(self) -> float:
        """Mean relative error of the last measured round's uplink."""

    def choices(self) -> torch.Tensor | None:
        """Which of the compressors offered each worker used in the last round, int8 `[n]`.

        None where the method offers none, or where one process does not see all workers.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next round depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""

    def agree(self, order: Order) -> Order:
        """The order of the leading process, in every process; `order` of the others is ignored."""


def links_of(problem: Problem, method: Method, seeds: Seeds, convention: Convention) -> Links:
    """The links of a run of `method` on `problem`, which every runtime makes its channels of."""
    return Links(problem.layout, method.blocks, convention, seeds, problem.device)


def tensors_of(part: Any) -> Tensors:
    """The tensor fields of a state dataclass, by name."""
    if not is_dataclass(part):
        raise TypeError(f"state must be a dataclass of tensors, got {type(part).__name__}")
    return {field.name: getattr(part, field.name) for field in fields(part)}


@contextmanager
def worker_rows(workers: Any, rows: slice) -> Iterator[Any]:
    """Within the block, these rows of the workers' state; what is set in them is kept.

    A tensor of a single row belongs to all workers. The rows are views of `workers`; a tensor that
    `Method.work` puts in place of one is copied back at the end.
    """
    views = {
        name: value if len(value) == 1 else value[rows]
        for name, value in tensors_of(workers).items()
    }
    mine = type(workers)(**views)
    yield mine
    for name, view in views.items():
        if getattr(mine, name) is not view:
            view.copy_(getattr(mine, name))


def load_tensors(part: Any, saved: Mapping[str, torch.Tensor]) -> None:
    """Set the tensor fields of a state dataclass."""
    for name, value in tensors_of(part).items():
        value.copy_(saved[name])
