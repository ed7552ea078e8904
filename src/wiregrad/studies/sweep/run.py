"""Running a sweep: the search over its grid, batch after batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wiregrad.studies.files import SweepAxis
from wiregrad.studies.search import Axis, Point, Score, search
from wiregrad.studies.sweep.loaded import LoadedTask
from wiregrad.studies.sweep.rows import Ending, Row, point_of, read_rows, score_of, write_rows
from wiregrad.studies.sweep.task import Cells, SweepTask, axis_values


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
        loaded = LoadedTask.of(task, device)
        batches = _Batches(loaded, parts)
        found = search(batches.axes, batches.scores)
        settled = {axis: found.settled[axis] for axis in _AXES if axis in found.settled}
        return SweepOutcome(batches.rows, dict(loaded.problem.provenance), loaded.given, settled)
    finally:
        torch.set_num_threads(threads)


_AXES: tuple[SweepAxis, ...] = ("multiples", "k", "zeta")


class _Batches:
    """Executes the batches that a search asks for, and keeps their rows."""

    def __init__(self, loaded: LoadedTask, parts: Path | None) -> None:
        self.loaded, self.parts, self.task = loaded, parts, loaded.task
        task = loaded.task
        grids = {name: tuple(sorted(set(map(float, axis_values(task, name))))) for name in _AXES}
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
