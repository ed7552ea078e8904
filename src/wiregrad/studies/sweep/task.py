"""A sweep: the grid of one label, batch after batch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wiregrad.comm.accounting import CONVENTIONS
from wiregrad.core.devices import pick_device
from wiregrad.core.errors import ConfigError, NotCovered
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method
from wiregrad.problems.convex import Convex
from wiregrad.runs.config import RunConfig
from wiregrad.runtimes.batched import require_sweepable
from wiregrad.studies.files import SweepAxis
from wiregrad.studies.search import Axis, Point, Score, search
from wiregrad.studies.sweep.advance import Ended, GridPoint, Stop, advance
from wiregrad.studies.sweep.rows import Ending, Row, point_of, read_rows, score_of, write_rows
from wiregrad.theory.constants import Constants
from wiregrad.theory.steps import Regime, step_size

COMPRESSED = ("compressor", "compressors")
"""Keys of a method's configuration whose compressors have the k."""
_AT_ONCE = 512
"""Runs in a batch, at most."""
_EVALUATED = 64
"""Points whose objective is computed together."""


@dataclass(frozen=True)
class SweepTask:
    """A sweep of one label: what its runs have in common, the grid, and when a run ends."""

    label: str
    config: Mapping[str, Any]
    """A run configuration; the grid replaces `method.lr`, `.compressor.k` and `.zeta`, `seed`."""
    multiples: tuple[float, ...]
    k: tuple[int, ...]
    zeta: tuple[float, ...]
    seeds: tuple[int, ...]
    stop: Stop
    indexed: str | None = None
    regime: Regime = "nonconvex"
    cap: int | None = None
    """Values on an axis at the most, where the grid is searched: `wiregrad.studies.search`."""

    @property
    def conventions(self) -> list[str]:
        """The conventions that count a run's bits: the paper's, and the one with indices."""
        paper = self.config["log"]["convention"]
        return [paper] if self.indexed is None else [paper, self.indexed]

    def digest(self, k: int | None, seed: int, cells: Cells, cheapest: Cheapest) -> str:
        """Digest of all that the batch of this k and seed depends on."""
        content = dataclasses.asdict(self)
        for key in ("multiples", "zeta", "seeds", "cap"):
            del content[key]
        content |= {"k": k, "seed": seed, "cells": list(cells.items())}
        content |= {"cheapest": list(cheapest.items())}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


Cells = Mapping[float | None, Sequence[float]]
"""The runs of a batch: by ζ, the multiples of the theory's step."""
Cheapest = Mapping[float | None, int]
"""By ζ, the bits of the cheapest run of earlier batches that has reached the tolerance."""


class SweepOutcome(NamedTuple):
    """The rows of a sweep, ordered by k, seed, ζ and multiple, and where its data came from."""

    rows: list[Row]
    data: dict[str, Any]
    given: dict[str, Any]
    """What the theory of the problem gave all runs, by dotted key of a run configuration."""
    settled: dict[SweepAxis, bool]
    """By axis, whether the best point has a worse neighbour on both sides."""


def run_sweep(task: SweepTask, parts: Path | None = None, device: str = "cpu") -> SweepOutcome:
    """Execute all runs of a sweep; with a cap its grid grows until the best point is settled.

    `parts`: a folder for the rows of each finished batch; batches found there are not executed
    again. Raises ConfigError where the problem or the method cannot be swept, DataUnavailable
    without the data.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order in which a sum is added is part of the result
    try:
        loaded = _LoadedTask.of(task, device)
        batches = _Batches(loaded, parts)
        found = search(batches.axes, batches.scores)
        settled = {axis: found.settled[axis] for axis in _AXES if axis in found.settled}
        return SweepOutcome(batches.rows, dict(loaded.problem.provenance), loaded.given, settled)
    finally:
        torch.set_num_threads(threads)


_AXES: tuple[SweepAxis, ...] = ("multiples", "k", "zeta")


class _Batches:
    """Executes the batches that a search asks for, and keeps their rows."""

    def __init__(self, loaded: _LoadedTask, parts: Path | None) -> None:
        self.loaded, self.parts, self.task = loaded, parts, loaded.task
        task = loaded.task
        grids = {name: tuple(sorted(set(map(float, _axis(task, name))))) for name in _AXES}
        axes = {
            "multiples": Axis("multiples", grids["multiples"], task.cap),
            "k": Axis("k", grids["k"], task.cap, 1.0, float(loaded.problem.dim), whole=True),
            "zeta": Axis("zeta", grids["zeta"], task.cap),
        }
        self.axes = [axis for axis in axes.values() if axis.grid]
        self._rows: dict[tuple[int | None, int, float | None, float], Row] = {}

    @property
    def rows(self) -> list[Row]:
        """All rows, ordered by k, seed (as the task has them), ζ and multiple."""
        seeds = self.task.seeds

        def place(key: tuple[int | None, int, float | None, float]) -> tuple[float, ...]:
            k, seed, zeta, multiple = key
            return (k or 0, seeds.index(seed), zeta or 0.0, multiple)

        return [self._rows[key] for key in sorted(self._rows, key=place)]

    def scores(self, points: Sequence[Point]) -> list[Score]:
        """Execute the runs at these points, a batch for each k and seed."""
        places = [self._place(point) for point in points]
        for k in dict.fromkeys(k for _, k, _ in places):
            cells: dict[float | None, list[float]] = {}
            ours = [(zeta, multiple) for multiple, own, zeta in places if own == k]
            for zeta, multiple in sorted(ours):  # of one method: all have a ζ, or none
                cells.setdefault(zeta, []).append(multiple)
            for seed in self.task.seeds:
                for row in self._batch(k, seed, cells):
                    self._rows[k, seed, row["zeta"], row["multiple"]] = row
        return [self._score(*place) for place in places]

    def _place(self, point: Point) -> tuple[float, int | None, float | None]:
        """The multiple, k and ζ of a point; None for an axis that the method has not."""
        at = dict(zip((axis.name for axis in self.axes), point, strict=True))
        k = at.get("k")
        return at["multiples"], None if k is None else int(k), at.get("zeta")

    def _score(self, multiple: float, k: int | None, zeta: float | None) -> Score:
        return score_of(point_of([self._rows[k, s, zeta, multiple] for s in self.task.seeds]))

    def _batch(self, k: int | None, seed: int, cells: Cells) -> list[Row]:
        cheapest = self._cheapest(k, seed, cells)
        if self.parts is None:
            return list(self.loaded.rows(k, seed, cells, cheapest))
        path = self.parts / f"{self.task.digest(k, seed, cells, cheapest)[:16]}.parquet"
        if path.is_file():
            return read_rows(path)
        rows = list(self.loaded.rows(k, seed, cells, cheapest))
        write_rows(path, rows)
        return rows

    def _cheapest(self, k: int | None, seed: int, cells: Cells) -> dict[float | None, int]:
        """What the runs of these cells compete with: none, where nothing was run before."""
        found: dict[float | None, int] = {}
        for (row_k, row_seed, zeta, _), row in self._rows.items():
            ours = row_k == k and row_seed == seed and zeta in cells
            if ours and row["outcome"] == Ending.REACHED:
                bits = row["uplink_bits_paper"]
                found[zeta] = min(bits, found.get(zeta, bits))
        return found


def _axis(task: SweepTask, name: SweepAxis) -> tuple[float, ...]:
    """The values along an axis; none where the method's configuration has none such."""
    method = task.config["method"]
    has = {"multiples": True, "k": _finest(method) is not None, "zeta": "zeta" in method}
    values: tuple[float, ...] = getattr(task, name)
    return values if has[name] else ()


def _finest(method: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The compressor whose k is swept: the method's only one, or the last of several."""
    found = method.get("compressor") or (method.get("compressors") or [None])[-1]
    return found if isinstance(found, Mapping) and "k" in found else None


def with_k(method: Mapping[str, Any], k: int) -> dict[str, Any]:
    """The configuration of a method with this k in its compressor.

    Of several compressors the last, the finest, takes it; others with as large a k are left out.
    """
    if "compressor" in method:
        return {**method, "compressor": {**method["compressor"], "k": k}}
    *others, finest = method["compressors"]
    coarser = [one for one in others if one.get("k", 0) < k]
    return {**method, "compressors": [*coarser, {**finest, "k": k}]}


def _parsed(task: SweepTask, k: int | None, zeta: float | None) -> RunConfig:
    """The run of this k and ζ, before its learning rate is known."""
    config = json.loads(json.dumps(task.config))
    config["method"]["lr"] = 1.0
    if k is not None:
        config["method"] = with_k(config["method"], k)
    if zeta is not None and "zeta" in config["method"]:
        config["method"]["zeta"] = zeta
    return RunConfig.parse(config, f"sweep of {task.label}")


@dataclass(frozen=True)
class _LoadedTask:
    """A task with its problem loaded."""

    task: SweepTask
    problem: Convex
    constants: Constants

    @staticmethod
    def of(task: SweepTask, device: str) -> _LoadedTask:
        """Load the data. Raises ConfigError for a problem that is not convex and full-batch."""
        config = _parsed(task, None, None)
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
        return _LoadedTask(task, problem, problem.constants())

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
        asked, given = vars(_parsed(self.task, None, None).method), vars(self._method(None))
        return {f"method.{key}": given[key] for key in given if given[key] != asked[key]}

    def _method(self, k: int | None) -> Method:
        method = _parsed(self.task, k, None).method
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
