"""A batch of runs, from its first round until every run has ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.convex import Convex
from wiregrad.problems.convex.base import norm_of_mean
from wiregrad.runtimes.batched import Batched
from wiregrad.studies.sweep.rows import Ending

RUNAWAY = 1e10
"""A run has diverged once ‖∇f‖ is this many times what it was at x⁰."""


@dataclass(frozen=True)
class GridPoint:
    """One run of a batch: what sets it apart. Those of one zeta are a cell."""

    multiple: float
    zeta: float | None
    lr: float


@dataclass(frozen=True)
class Stop:
    """When a run ends, and whether the runs of a cell compete."""

    norm: float
    """The tolerance on ‖∇f‖."""
    max_rounds: int
    max_bits: int | None = None
    """Uplink bits on the wire, per worker."""
    prune: bool = True
    """Whether to drop the runs that can no longer be the cheapest of their cell."""


@dataclass(frozen=True)
class Ended:
    """How a run ended, at `x` `[d]`."""

    outcome: Ending
    iterations: int
    wire: int
    """Uplink bits on the wire, per worker."""
    priced: tuple[int, ...]
    """Uplink bits per worker, by convention."""
    downlink: int
    """Bits of the broadcasts on the wire."""
    grad_norm: float
    x: torch.Tensor


def advance(
    problem: Convex,
    method: Method,
    seeds: Seeds,
    points: Sequence[GridPoint],
    stop: Stop,
    conventions: Sequence[Convention],
    cheapest: Mapping[float | None, int] | None = None,
) -> list[Ended]:
    """Run all `points` of `method` as one batch; returns how each ended, in their order.

    `cheapest`: by zeta, the bits with which a run of another batch has reached the tolerance; runs
    compete with it as with those of their cell.

    `method` has the compressor of the points; `lr`, and `zeta` if it has one, are theirs; all share
    the seed. Runs of a cell compete in the bits of the first of `conventions`. Raises ConfigError
    for a method that cannot be swept.
    """
    return _Advance(problem, method, seeds, points, stop, conventions, cheapest or {}).run()


class _Advance:
    """The state of `advance`: the batch, and which of the points each of its runs is."""

    def __init__(
        self,
        problem: Convex,
        method: Method,
        seeds: Seeds,
        points: Sequence[GridPoint],
        stop: Stop,
        conventions: Sequence[Convention],
        cheapest: Mapping[float | None, int],
    ) -> None:
        given = {"lr": [point.lr for point in points]}
        if has(method, "zeta"):
            given["zeta"] = [float(point.zeta or 0) for point in points]
        self.problem, self.stop = problem, stop
        self.batch = Batched(problem, method, seeds, given, conventions)
        self.alive = torch.arange(len(points))
        cells = {zeta: place for place, zeta in enumerate(dict.fromkeys(p.zeta for p in points))}
        self.cell = torch.tensor([cells[point.zeta] for point in points])
        unknown = torch.iinfo(torch.int64).max
        self.best = torch.tensor([cheapest.get(zeta, unknown) for zeta in cells])
        """Bits of each cell's cheapest run that has reached the tolerance."""
        self.ended: list[Ended | None] = [None] * len(points)
        self.room = torch.empty(
            len(points), problem.workers, problem.dim, dtype=problem.dtype, device=problem.device
        )
        self.first: torch.Tensor | None = None

    def run(self) -> list[Ended]:
        """Rounds until every run has ended."""
        for t in itertools.count():
            grads = self._gradients()
            norm = norm_of_mean(grads)
            if self.first is None:
                self.first = norm
            going = self._end_finished(t, norm)
            if not len(going):
                break
            if len(going) < len(norm):
                self._continue_with(going)
                grads = grads[going]
            before = self._meters()
            failed = self.batch.round(t + 1, self.stop.max_rounds, grads)
            if bool(failed.any()):
                self._end_failed(t + 1, failed, before)
                if not len(self.alive):
                    break
        return [end for end in self.ended if end is not None]

    def _gradients(self) -> torch.Tensor:
        out = self.room[: len(self.alive)]
        return self.problem.gradients_batch(self.batch.x, out)

    def _meters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Bits so far: uplink per worker on the wire `[R]`, by convention `[b, R]`; downlink `[R]`.

        R: the runs of the batch; b: the conventions.
        """
        n, up = self.problem.workers, self.batch.up
        return up.wire // n, up.priced // n, self.batch.down.wire.clone()

    def _end_finished(self, t: int, norm: torch.Tensor) -> torch.Tensor:
        """Record the runs that have ended after t rounds, where ‖∇f‖ is `norm` `[R]`.

        Returns the places of the others in the batch.
        """
        meters = self._meters()
        wire, bits = meters[0], meters[1][0]
        assert self.first is not None
        reached = norm <= self.stop.norm
        diverged = ~(norm.isfinite() & (norm <= RUNAWAY * self.first))
        over = torch.full_like(reached, t >= self.stop.max_rounds)
        if self.stop.max_bits is not None:
            over = over | (wire >= self.stop.max_bits)
        cell = self.cell[self.alive]
        self.best.scatter_reduce_(0, cell[reached], bits[reached], "amin")
        dominated = torch.zeros_like(reached)
        if self.stop.prune:
            dominated = bits >= self.best[cell]
        outcomes = {
            Ending.REACHED: reached,
            Ending.DIVERGED: diverged,
            Ending.EXHAUSTED: over,
            Ending.DOMINATED: dominated,
        }
        going = torch.ones_like(reached)
        for outcome, mask in outcomes.items():
            for place in (mask & going).nonzero()[:, 0].tolist():
                self._end(place, outcome, t, meters, float(norm[place]))
            going &= ~mask
        return going.nonzero()[:, 0]

    def _end_failed(self, t: int, failed: torch.Tensor, meters: tuple[torch.Tensor, ...]) -> None:
        """Record and drop the runs that sent something not finite in round t.

        That round does not count: `meters` are of before it.
        """
        for place in failed.nonzero()[:, 0].tolist():
            self._end(place, Ending.DIVERGED, t, meters, float("nan"))
        self._continue_with((~failed).nonzero()[:, 0])

    def _end(
        self, place: int, outcome: Ending, t: int, meters: tuple[torch.Tensor, ...], norm: float
    ) -> None:
        wire, priced, downlink = meters
        self.ended[int(self.alive[place])] = Ended(
            outcome,
            t,
            int(wire[place]),
            tuple(priced[:, place].tolist()),
            int(downlink[place]),
            norm,
            self.batch.x[place].clone(),
        )

    def _continue_with(self, runs: torch.Tensor) -> None:
        """Drop all runs of the batch but those at these places."""
        assert self.first is not None
        self.batch.keep(runs)
        self.alive, self.first = self.alive[runs], self.first[runs]


def has(method: Method, field: str) -> bool:
    """Whether a method has this hyper-parameter."""
    return any(f.name == field for f in fields(method))
