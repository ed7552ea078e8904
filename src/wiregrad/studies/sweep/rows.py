"""sweep.parquet, one row per run of a sweep, and the best point of its grid. Needs no torch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_atomic
from wiregrad.studies.files import SweepPoint
from wiregrad.studies.search import Score


class Ending(StrEnum):
    """How a run of a sweep ended."""

    REACHED = "reached"
    """‖∇f‖ was at the tolerance or below."""
    DIVERGED = "diverged"
    """Something was not finite, or ‖∇f‖ was `RUNAWAY` times what it was at x⁰."""
    EXHAUSTED = "exhausted"
    """Rounds or bits were used up."""
    DOMINATED = "dominated"
    """Another run of its cell had reached the tolerance with no more bits than this one sent."""


SCHEMA = pa.schema(
    [
        ("label", pa.string()),
        ("multiple", pa.float64()),
        ("k", pa.int64()),
        ("zeta", pa.float64()),
        ("seed", pa.int64()),
        ("lr", pa.float64()),
        ("L_minus", pa.float64()),
        ("L_plus", pa.float64()),
        ("mu", pa.float64()),
        ("outcome", pa.string()),
        ("iterations", pa.int64()),
        ("uplink_bits_wire", pa.int64()),
        ("uplink_bits_paper", pa.int64()),
        ("uplink_bits_indexed", pa.int64()),
        ("downlink_bits_wire", pa.int64()),
        ("grad_norm", pa.float64()),
        ("loss", pa.float64()),
    ],
    metadata={"wiregrad_sweep": "1"},
)
"""One row per run, at its last point x. `k` and `zeta` are null where the method has none.

`lr` is `multiple` times the theory's step; L₋, L₊ and μ (null where it is not known) are the
constants that this step is made of. `outcome` is an `Ending`. Bits are as in a history: of the
uplink as a mean over workers.
"""

Row = dict[str, Any]


def point_of(rows: Sequence[Row]) -> SweepPoint | None:
    """The point of a grid whose runs, one a seed, ended like these; None where one diverged.

    Bits, rounds and norms are means over the seeds.
    """
    if any(row["outcome"] == Ending.DIVERGED for row in rows):
        return None
    means = ("uplink_bits_paper", "iterations", "grad_norm")
    return SweepPoint(
        **{name: rows[0][name] for name in ("k", "zeta", "multiple", "lr")},
        reached=all(row["outcome"] == Ending.REACHED for row in rows),
        **{name: statistics.fmean(row[name] for row in rows) for name in means},
    )


def score_of(point: SweepPoint | None) -> Score:
    """What a search compares: uplink bits (paper) to the tolerance, then rounds.

    A point that did not reach it with every seed is worse; among such ones ‖∇f‖ at the last x
    counts.
    """
    if point is None:
        return None
    if point.reached:
        return (0.0, point.uplink_bits_paper, point.iterations)
    return (1.0, point.grad_norm)


def best_point(rows: Sequence[Row]) -> SweepPoint | None:
    """The best point of the grid by `score_of`, of equals the one with the smaller step.

    None where every point has a diverged run.
    """
    grid: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        grid.setdefault((row["k"], row["zeta"], row["multiple"], row["lr"]), []).append(row)
    found = [point for cell in grid.values() if (point := point_of(cell)) is not None]
    return min(found, key=lambda point: (score_of(point), point.lr), default=None)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, atomically; the bytes depend on the rows alone."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    with write_atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", version="2.6")


def read_rows(path: Path) -> list[Row]:
    """The rows at `path`; RecordError where it is no sweep."""
    rows: list[Row] = read_table(path).to_pylist()
    return rows


def read_table(path: Path) -> pa.Table:
    """The rows at `path` as a table of `SCHEMA`; RecordError where it is no sweep."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(
            f"{path}: not a readable sweep ({' '.join(str(error).split())})"
        ) from None
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise RecordError(f"{path}: not a sweep of this version")
    return table
