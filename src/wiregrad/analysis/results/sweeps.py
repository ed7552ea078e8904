"""Sweeps as read from their files: how every run of a grid of steps, k and ζ ended.

A cell of the grid is one k and one ζ. Its cost is that of the cheapest step that met the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from wiregrad.core.files import sha256_file
from wiregrad.studies.files import NotRun, SweepPoint, read_sweep
from wiregrad.studies.sweep.rows import read_table

if TYPE_CHECKING:
    from wiregrad.studies.plan import Group
    from wiregrad.studies.tuning_schema import Sweep

Convention = Literal["paper", "indexed", "wire"]
"""A way of counting the uplink bits of a sweep's runs."""
BITS: dict[Convention, tuple[str, str]] = {
    "paper": ("uplink_bits_paper", "values only"),
    "indexed": ("uplink_bits_indexed", "values and indices"),
    "wire": ("uplink_bits_wire", "on the wire"),
}
"""The column of sweep.parquet for each convention, and what it counts."""

SHARED = 2.0
"""Neighbours share a crossing of a tolerance if they need at most this many times its bits."""
POINT = ["k", "zeta", "multiple", "lr"]


@dataclass(frozen=True)
class Swept:
    """The sweep of one label."""

    rows: pd.DataFrame
    best: SweepPoint | None
    edge: tuple[str, ...]
    tolerance: float
    """The bound on ‖∇f‖ that ends a run."""
    sha256: str

    @cached_property
    def points(self) -> pd.DataFrame:
        """One row for each point of the grid, over its seeds.

        Columns: k, zeta, multiple, lr, reached (by all seeds), diverged (any), and the means of
        the bits and rounds.
        """
        means = ["iterations", "grad_norm", *(column for column, _ in BITS.values())]
        outcome = self.rows["outcome"]
        rows = self.rows.assign(reached=outcome == "reached", diverged=outcome == "diverged")
        grouped = rows.groupby(POINT, dropna=False, sort=True)
        flags = {"reached": grouped["reached"].all(), "diverged": grouped["diverged"].any()}
        return grouped[means].mean().assign(**flags).reset_index()

    def cheapest(self, convention: Convention = "paper") -> pd.Series | None:
        """The point with the fewest bits to the tolerance; None if none met it."""
        met = self.points[self.points["reached"]]
        column = BITS[convention][0]
        met = met[met[column].notna()]
        if met.empty:
            return None
        return met.sort_values([column, "iterations", "lr"]).iloc[0]

    def bits(self, convention: Convention = "paper") -> float:
        """Uplink bits per worker to the tolerance at the cheapest point; infinite if never met."""
        point = self.cheapest(convention)
        return math.inf if point is None else float(point[BITS[convention][0]])

    def cells(self, convention: Convention = "paper") -> pd.DataFrame:
        """One row for each cell: k, zeta, bits (NaN if no step met the tolerance), all_diverged."""
        column = BITS[convention][0]
        points = self.points.assign(bits=self.points[column].where(self.points["reached"]))
        grouped = points.groupby(["k", "zeta"], dropna=False, sort=True)
        cells = grouped.agg(bits=("bits", "min"), all_diverged=("diverged", "all"))
        return cells.reset_index()

    def open_edges(self, dim: int) -> tuple[str, ...]:
        """The axes of the grid beyond whose end a better point may lie, for vectors of length dim.

        No k is below 1 or above dim, and no ζ below 0: there the grid ends by nature.
        """
        if self.best is None:
            return self.edge
        natural = {"k": self.best.k in {1, dim}, "zeta": self.best.zeta == 0}
        return tuple(axis for axis in self.edge if not natural.get(axis, False))

    def isolated(self, convention: Convention = "paper") -> bool:
        """Whether the cheapest cell is a spike: most neighbouring cells need over twice its bits.

        A neighbour is the next cell that was tried along k or along ζ. Without one there is no
        spike.
        """
        best = self.cheapest(convention)
        if best is None:
            return False
        bits = {
            (_or_none(cell["k"]), _or_none(cell["zeta"])): float(cell["bits"])
            for cell in self.cells(convention).to_dict("records")
        }
        here = (_or_none(best["k"]), _or_none(best["zeta"]))
        around = [bits[cell] for cell in _neighbours(here, list(bits))]
        shared = sum(value <= SHARED * bits[here] for value in around)  # NaN: it never got there
        return 2 * shared < len(around)

    @property
    def constants(self) -> Mapping[str, float]:
        """L_minus, L_plus and mu of the problem; NaN where they are not known."""
        if self.rows.empty:
            return dict.fromkeys(("L_minus", "L_plus", "mu"), math.nan)
        first = self.rows.iloc[0]
        return {name: float(first[name]) for name in ("L_minus", "L_plus", "mu")}


def read(planned: Group, sweep: Sweep) -> tuple[Swept | None, NotRun | None]:
    """The sweep of a group, or why there is none (None if it was simply not run yet).

    Raises RecordError where a file is malformed.
    """
    if not (planned.sweep_file.exists() and planned.best_file.exists()):
        return None, None
    chosen = read_sweep(planned.best_file)
    if chosen.not_run is not None:
        return None, chosen.not_run
    found = Swept(
        rows=_rows(planned.sweep_file),
        best=chosen.best,
        edge=tuple(chosen.edge or ()),
        tolerance=sweep.norm,
        sha256=sha256_file(planned.sweep_file),
    )
    return found, None


Cell = tuple[float | None, float | None]
"""k and ζ of a cell; None where the method has no such parameter."""


def _or_none(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _neighbours(here: Cell, cells: list[Cell]) -> list[Cell]:
    """The cells next to `here` among `cells`, below and above along k and along ζ."""
    found: list[Cell] = []
    for axis in (0, 1):
        line = sorted(
            (cell for cell in cells if cell[1 - axis] == here[1 - axis]),
            key=lambda cell: cell[axis] or 0.0,
        )
        place = line.index(here)
        found += line[max(0, place - 1) : place] + line[place + 1 : place + 2]
    return found


def _rows(path: Path) -> pd.DataFrame:
    frame: pd.DataFrame = read_table(path).to_pandas()
    floats = ["k", "zeta", "multiple", "lr", "mu", *(column for column, _ in BITS.values())]
    return frame.astype(dict.fromkeys(floats, "float64"))
