"""A batch of runs from its first round until every run has ended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.convex import Convex
from wiregrad.problems.convex.base import norm_of_mean
from wiregrad.runtimes.batched import Batched

RUNAWAY = 1e10
"""A run has diverged once ‖∇f‖ is this many times what it was at x⁰."""


@dataclass(frozen=True)
class Point:
    """One run of a batch: what sets it apart. Those of one zeta are a cell."""

    multiple: float
    zeta: float | None
    lr: float


@dataclass(frozen=True)
class Stop:
    """When a run ends, and whether the runs of a cell compete."""

    norm: float
    max_rounds: int
    max_bits: int | None = None
    prune: bool = True


@dataclass(frozen=True)
class Ended:
    """How a run ended, at `x` `[d]`."""

    outcome: str
    iterations: int
    wire: int
    priced: tuple[int, ...]
    downlink: int
    grad_norm: float
    x: torch.Tensor


def advance(
    problem: Convex,
    method: Method,
    seeds: Seeds,
    points: Sequence[Point],
    stop: Stop,
    conventions: Sequence[Convention],
) -> list[Ended]:
    """Run all `points` of `method` as one batch; how each ended, in their order.

    `method` has the compressor of the points; `lr`, and `zeta` if it has one, are theirs; all share
    the seed. Runs of a cell compete in the bits of the first of `conventions`. Raises ConfigError
    for a method that cannot be swept.
    """
    return _Advance(problem, method, seeds, points, stop, conventions).run()


class _Advance:
    """The state of `advance`: the batch, and which of the points each of its runs is."""

    def __init__(
        self,
        problem: Convex,
        method: Method,
        seeds: Seeds,
        points: Sequence[Point],
        stop: Stop,
        conventions: Sequence[Convention],
    ) -> None:
        given = {"lr": [point.lr for point in points]}
        if has(method, "zeta"):
            given["zeta"] = [float(point.zeta or 0) for point in points]
        self.problem, self.stop = problem, stop
        self.batch = Batched(problem, method, seeds, given, conventions)
        self.alive = torch.arange(len(points))
        cells = {zeta: place for place, zeta in enumerate(dict.fromkeys(p.zeta for p in points))}
        self.cell = torch.tensor([cells[point.zeta] for point in points])
        self.best = torch.full((len(cells),), torch.iinfo(torch.int64).max)
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
            keep = self._settle(t, norm)
            if not len(keep):
                break
            if len(keep) < len(norm):
                self._keep(keep)
                grads = grads[keep]
                norm = norm[keep]
            before = self._meters()
            failed = self.batch.round(t + 1, self.stop.max_rounds, grads)
            if bool(failed.any()):
                self._lose(t + 1, failed, before)
                if not len(self.alive):
                    break
        return [end for end in self.ended if end is not None]

    def _gradients(self) -> torch.Tensor:
        out = self.room[: len(self.alive)]
        return self.problem.gradients_batch(self.batch.x, out)

    def _meters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Uplink bits a worker: wire `[R]`, by conventions `[b, R]`; downlink bits `[R]`."""
        n, up = self.problem.workers, self.batch.up
        return up.wire // n, up.priced // n, self.batch.down.wire.clone()

    def _settle(self, t: int, norm: torch.Tensor) -> torch.Tensor:
        """Note who has ended after t rounds; the places of the others in the batch."""
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
            "reached": reached,
            "diverged": diverged,
            "exhausted": over,
            "dominated": dominated,
        }
        going = torch.ones_like(reached)
        for outcome, mask in outcomes.items():
            for place in (mask & going).nonzero()[:, 0].tolist():
                self._end(place, outcome, t, meters, float(norm[place]))
            going &= ~mask
        return going.nonzero()[:, 0]

    def _lose(self, t: int, failed: torch.Tensor, meters: tuple[torch.Tensor, ...]) -> None:
        """Drop the runs that sent something not finite in round t, which does not count."""
        for place in failed.nonzero()[:, 0].tolist():
            self._end(place, "diverged", t, meters, float("nan"))
        self._keep((~failed).nonzero()[:, 0])

    def _end(
        self, place: int, outcome: str, t: int, meters: tuple[torch.Tensor, ...], norm: float
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

    def _keep(self, runs: torch.Tensor) -> None:
        assert self.first is not None
        self.batch.keep(runs)
        self.alive, self.first = self.alive[runs], self.first[runs]


def has(method: Method, field: str) -> bool:
    """Whether a method has this hyper-parameter."""
    return any(f.name == field for f in fields(method))
