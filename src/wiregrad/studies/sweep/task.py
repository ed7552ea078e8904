"""A sweep: the grid of one label, batch after batch."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
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
from wiregrad.studies.sweep.advance import Ended, Stop, SweepPoint, advance
from wiregrad.studies.sweep.rows import Row, read_rows, write_rows
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

    @property
    def conventions(self) -> list[str]:
        """The conventions that count a run's bits: the paper's, and the one with indices."""
        paper = self.config["log"]["convention"]
        return [paper] if self.indexed is None else [paper, self.indexed]

    def digest(self, k: int | None, seed: int) -> str:
        """Digest of all that the batch of this k and seed depends on."""
        content = dataclasses.asdict(self) | {"k": k, "seeds": seed}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class SweepOutcome(NamedTuple):
    """The rows of a sweep, ordered by k, seed, ζ and multiple, and where its data came from."""

    rows: list[Row]
    data: dict[str, Any]
    given: dict[str, Any]
    """What the theory of the problem gave all runs, by dotted key of a run configuration."""


def run_sweep(task: SweepTask, parts: Path | None = None, device: str = "cpu") -> SweepOutcome:
    """Execute all runs of a sweep.

    `parts`: a folder for the rows of each finished batch; batches found there are not executed
    again. Raises ConfigError where the problem or the method cannot be swept, DataUnavailable
    without the data.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order in which a sum is added is part of the result
    try:
        loaded = _LoadedTask.of(task, device)
        rows = [row for batch in _batches(loaded, parts) for row in batch]
        return SweepOutcome(rows, dict(loaded.problem.provenance), loaded.given)
    finally:
        torch.set_num_threads(threads)


def _batches(loaded: _LoadedTask, parts: Path | None) -> Iterator[list[Row]]:
    task = loaded.task
    for k, seed in itertools.product(_axis(task, "k"), task.seeds):
        path = None if parts is None else parts / f"{task.digest(k, seed)[:16]}.parquet"
        if path is not None and path.is_file():
            yield read_rows(path)
            continue
        rows = list(loaded.rows(k, seed))
        if path is not None:
            write_rows(path, rows)
        yield rows


def _axis(task: SweepTask, name: str) -> tuple[Any, ...]:
    """The values along an axis, or (None,) where the method's configuration has none such."""
    method = task.config["method"]
    swept = "zeta" in method if name == "zeta" else _finest(method) is not None
    values: tuple[Any, ...] = getattr(task, name)
    return values if swept and values else (None,)


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

    def rows(self, k: int | None, seed: int) -> Iterator[Row]:
        """Execute the grid of this k. Batches hold whole cells, whose runs compete."""
        task, method = self.task, self._method(k)
        zetas = _axis(task, "zeta")
        size = max(1, _AT_ONCE // len(task.multiples))
        conventions = [CONVENTIONS[name] for name in task.conventions]
        for start in range(0, len(zetas), size):
            points = list(self._points(method, zetas[start : start + size]))
            ends = advance(self.problem, method, Seeds(seed), points, task.stop, conventions)
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

    def _points(self, method: Method, zetas: Sequence[Any]) -> Iterator[SweepPoint]:
        for zeta in zetas:
            one = method if zeta is None else _with(method, zeta=zeta)
            n, d = self.problem.workers, self.problem.dim
            try:
                step = step_size(one, self.constants, n=n, d=d, regime=self.task.regime)
            except NotCovered as error:
                where = f"sweep of {self.task.label}: method.name: {one.name}"
                raise ConfigError(f"{where} cannot be swept: {error}") from None
            for multiple in self.task.multiples:
                yield SweepPoint(multiple, zeta, multiple * step)

    def _described(self, points: Sequence[SweepPoint], ends: Sequence[Ended]) -> Iterator[Row]:
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


def _with(method: Method, **fields: Any) -> Method:
    return dataclasses.replace(method, **fields)
