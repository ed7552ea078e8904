"""A sweep whose problem is loaded: executes the cells of its grid, in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from wiregrad.comm.accounting import CONVENTIONS
from wiregrad.core.devices import pick_device
from wiregrad.core.errors import ConfigError, NotCovered
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.convex import Convex
from wiregrad.runtimes.batched import require_sweepable
from wiregrad.studies.sweep.advance import Ended, GridPoint, advance
from wiregrad.studies.sweep.rows import Row
from wiregrad.studies.sweep.task import Cells, Cheapest, SweepTask, parsed_run
from wiregrad.theory.constants import Constants
from wiregrad.theory.steps import step_size

_AT_ONCE = 512
"""Runs in a batch, at most."""
_EVALUATED = 64
"""Points whose objective is computed together."""


@dataclass(frozen=True)
class LoadedTask:
    """A task with its problem loaded."""

    task: SweepTask
    problem: Convex
    constants: Constants

    @staticmethod
    def of(task: SweepTask, device: str) -> LoadedTask:
        """Load the data. Raises ConfigError for a problem that is not convex and full-batch."""
        config = parsed_run(task, None, None)
        try:
            require_sweepable(config.method)
        except ConfigError as error:
            raise ConfigError(f"sweep of {task.label}: {error}") from None
        seeds = Seeds(config.seed)
        problem = config.problem.build(config.runtime.workers, seeds, pick_device(device))
        if not isinstance(problem, Convex) or problem.stochastic:
            raise ConfigError(
                f"sweep of {task.label}: problem: a sweep takes a convex problem with batch: full"
            )
        return LoadedTask(task, problem, problem.constants())

    def rows(self, k: int | None, seed: int, cells: Cells, cheapest: Cheapest) -> Iterator[Row]:
        """Execute the cells of this k. Batches hold whole cells, whose runs compete."""
        task, method = self.task, self._method(k)
        conventions = [CONVENTIONS[name] for name in task.conventions]
        for part in _parted(cells):
            points = list(self._points(method, part))
            ends = advance(
                self.problem, method, Seeds(seed), points, task.stop, conventions, cheapest
            )
            for row in self._described(points, ends):
                yield row | {"label": task.label, "k": k, "seed": seed}

    @property
    def given(self) -> dict[str, Any]:
        """See SweepOutcome."""
        asked, given = vars(parsed_run(self.task, None, None).method), vars(self._method(None))
        return {f"method.{key}": given[key] for key in given if given[key] != asked[key]}

    def _method(self, k: int | None) -> Method:
        method = parsed_run(self.task, k, None).method
        return method.informed(self.constants.each)

    def _points(self, method: Method, cells: Cells) -> Iterator[GridPoint]:
        for zeta, multiples in cells.items():
            one = method if zeta is None else _with(method, zeta=zeta)
            n, d = self.problem.workers, self.problem.dim
            try:
                step = step_size(one, self.constants, n=n, d=d, regime=self.task.regime)
            except NotCovered as error:
                where = f"sweep of {self.task.label}: method.name: {one.name}"
                raise ConfigError(f"{where} cannot be swept: {error}") from None
            for multiple in multiples:
                yield GridPoint(multiple, zeta, multiple * step)

    def _described(self, points: Sequence[GridPoint], ends: Sequence[Ended]) -> Iterator[Row]:
        losses = [
            loss
            for i in range(0, len(ends), _EVALUATED)
            for loss in self._losses(ends[i : i + _EVALUATED])
        ]
        for point, end, loss in zip(points, ends, losses, strict=True):
            yield {
                "multiple": point.multiple,
                "zeta": point.zeta,
                "lr": point.lr,
                "L_minus": self.constants.minus,
                "L_plus": self.constants.plus,
                "mu": self.constants.mu,
                "outcome": end.outcome,
                "iterations": end.iterations,
                "uplink_bits_wire": end.wire,
                "uplink_bits_paper": end.priced[0],
                "uplink_bits_indexed": end.priced[1] if self.task.indexed else None,
                "downlink_bits_wire": end.downlink,
                "grad_norm": end.grad_norm,
                "loss": loss,
            }

    def _losses(self, ends: Sequence[Ended]) -> list[float]:
        losses, _ = self.problem.evaluate_batch(torch.stack([end.x for end in ends]))
        return losses.tolist()


def _parted(cells: Cells) -> Iterator[Cells]:
    """Whole cells, of `_AT_ONCE` runs at the most together (a larger cell is alone)."""
    part: dict[float | None, Sequence[float]] = {}
    for zeta, multiples in cells.items():
        if part and sum(map(len, part.values())) + len(multiples) > _AT_ONCE:
            yield part
            part = {}
        part[zeta] = multiples
    yield part


def _with(method: Method, **fields: Any) -> Method:
    return dataclasses.replace(method, **fields)
