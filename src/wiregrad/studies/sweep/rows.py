"""What a sweep leaves behind: a row a run, in Parquet, and the best point of its grid."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_atomic

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
"""One row a run, at its last point x. `k` and `zeta` are null where the method has none.

`lr` is `multiple` times the theory's step; L₋, L₊ and μ (null where there is none to be had) are
the constants that this step is made of. `outcome`: ``reached`` the tolerance, ``diverged``
(something not finite, or ‖∇f‖ above `RUNAWAY` times what it was at x⁰), ``exhausted`` rounds or
bits, or ``dominated``: dropped, as another run of the cell had reached the tolerance with no more
bits than this one had sent. Bits are as in a history: of the uplink as a mean over workers.
"""

Row = dict[str, Any]


def best(rows: Sequence[Row]) -> Row | None:
    """The point of the grid with the fewest uplink bits (paper) to the tolerance, over all seeds.

    Of equals the one with fewer rounds, then the smaller step. Where no point reached it with
    every seed (``reached`` false), the one with the smallest ‖∇f‖ at its last x; None where all
    diverged. Bits, rounds and norms are means over the seeds.
    """
    grid: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        grid.setdefault((row["k"], row["zeta"], row["multiple"], row["lr"]), []).append(row)
    found = []
    for (k, zeta, multiple, lr), cell in grid.items():
        if any(row["outcome"] == "diverged" for row in cell):
            continue
        point = {"k": k, "zeta": zeta, "multiple": multiple, "lr": lr}
        point["reached"] = all(row["outcome"] == "reached" for row in cell)
        for name in ("uplink_bits_paper", "iterations", "grad_norm"):
            point[name] = statistics.fmean(row[name] for row in cell)
        found.append(point)
    return min(found, key=_rank, default=None)


def _rank(point: Row) -> tuple[Any, ...]:
    order = ("uplink_bits_paper", "iterations", "lr") if point["reached"] else ("grad_norm", "lr")
    return (not point["reached"], *(point[name] for name in order))


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, atomically; the bytes depend on the rows alone."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    with write_atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", version="2.6")


def read(path: Path) -> list[Row]:
    """The rows at `path`; RecordError where it is no sweep."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(
            f"{path}: not a readable sweep ({' '.join(str(error).split())})"
        ) from None
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise RecordError(f"{path}: not a sweep of this version")
    rows: list[Row] = table.to_pylist()
    return rows
