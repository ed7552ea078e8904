"""Sweeps: the best point of each method, and its bits to the tolerance: the table kind `sweep`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.statistics import Estimate
from wiregrad.analysis.results.sweeps import BITS, Convention, Swept
from wiregrad.analysis.tables.spec import Cell, Column, Form, TableSpec, table_kinds

NEVER = "never"


@table_kinds.register("sweep")
@dataclass(frozen=True, kw_only=True)
class SweepTable(TableSpec):
    """The best point of each method's sweep, and its bits to the tolerance by every convention."""

    against: str = ""
    """The label with whose bits those of the others are compared; empty: none."""

    def columns(self, mine: Results) -> list[Column]:
        """See TableSpec."""
        found = [
            _of_point(mine, "k", "K", "count"),
            _of_point(mine, "zeta", "ζ", "plain"),
            _of_point(mine, "multiple", "step, × theory", "plain"),
            _of_point(mine, "iterations", "rounds", "count"),
            *(_bits(mine, convention) for convention in BITS),
        ]
        if self.against:
            found.append(self._saving(mine))
        return found

    def notes(self, mine: Results) -> list[str]:
        """See TableSpec."""
        tolerances = sorted({g.sweep.tolerance for g in mine.groups if g.sweep is not None})
        text = " or ".join(f"{value:g}" for value in tolerances)
        return [
            (
                f"Uplink bits a worker until ‖∇f‖ ≤ {text}, over a grid of steps, K and ζ. K, ζ, "
                "step and rounds are those of the fewest bits, values only; each count of bits is "
                "at its own best point. Bold: best."
            )
        ]

    def _saving(self, mine: Results) -> Column:
        base = mine.group(self.against)
        dense = math.nan if base is None or base.sweep is None else base.sweep.bits()
        title = base.title if base else self.against

        def cell(sweep: Swept) -> Cell:
            bits = sweep.bits()
            known = math.isfinite(bits) and math.isfinite(dense)
            return Estimate(dense / bits, math.nan, math.nan, 1) if known else "—"

        return Column("saving", f"{title} needs × as many", "max", "fixed", _cells(mine, cell))


def _of_point(mine: Results, name: str, heading: str, form: Form) -> Column:
    def cell(sweep: Swept) -> Cell:
        point = sweep.cheapest()
        if point is None:
            return NEVER if name == "iterations" else "—"
        value = point[name]
        return "—" if pd.isna(value) else Estimate(float(value), math.nan, math.nan, 1)

    return Column(name, heading, None, form, _cells(mine, cell))


def _bits(mine: Results, convention: Convention) -> Column:
    def cell(sweep: Swept) -> Cell:
        bits = sweep.bits(convention)
        return Estimate(bits, math.nan, math.nan, 1) if math.isfinite(bits) else NEVER

    column, what = BITS[convention]
    return Column(column, f"bits, {what}", "min", "bits", _cells(mine, cell))


def _cells(mine: Results, cell: Callable[[Swept], Cell]) -> dict[str, Cell]:
    def of(group: GroupResult) -> Cell:
        return "—" if group.sweep is None else cell(group.sweep)

    return {group.label: of(group) for group in mine.groups}
