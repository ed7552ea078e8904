"""LIBSVM text ("label index:value ...", indices from 1) as a CSR matrix in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_bytes, require_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_libsvm(
    path: Path,
    *,
    features: int | None = None,
    task: str = "binary",
    sha256: str | None = None,
    rows: int | None = None,
) -> Arrays:
    """Read one LIBSVM file, plain or compressed (xz, bzip2 or gzip, told by its first bytes).

    Args:
        path: The file.
        features: Number of columns; None is the largest index.
        task: With "binary" the smaller label becomes -1 and the larger one +1; otherwise labels are
            kept.
        sha256: Of the decompressed text; None is not checked.
        rows: The number N of rows that there must be; None is not checked.

    Returns:
        ``crow`` int64 [N+1], ``col`` int64 [nnz] (from 0), ``values`` float64 [nnz], ``labels``
        float64 [N], and ``shape`` int64 [2] = (N, features).

    Raises:
        DataCorrupt: The message names the file, the line and what is wrong.
    """
    text = read_bytes(path)
    if sha256 is not None:
        require_sha256(text, sha256, f"{path} (text)")
    try:
        lines = text.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise DataCorrupt(f"{path}: not LIBSVM text: byte {error.start} is not ASCII") from None
    arrays = csr(_parse(lines, path), path, features=features, task=task)
    found = len(arrays["labels"])
    if rows not in {None, found}:
        raise DataCorrupt(f"{path}: {found} rows, expected {rows}")
    return arrays


Rows = tuple[list[float], list[int], list[int], list[float]]
"""Labels, the end of each row in the two lists that follow, columns (from 0), and values."""


def csr(rows: Rows, where: object, *, features: int | None, task: str) -> Arrays:
    """The arrays of `read_libsvm` from `rows`; `where` begins the message of an error.

    Raises DataCorrupt where there are no rows, or a column is above `features`.
    """
    labels, ends, columns, values = rows
    if not labels:
        raise DataCorrupt(f"{where}: no rows")
    width = max(columns, default=-1) + 1
    if features is not None and width > features:
        raise DataCorrupt(f"{where}: index {width} is above the {features} features of this set")
    return {
        "crow": np.array([0, *ends], dtype=np.int64),
        "col": np.array(columns, dtype=np.int64),
        "values": np.array(values, dtype=np.float64),
        "labels": _labels(np.array(labels, dtype=np.float64), where, task),
        "shape": np.array([len(labels), width if features is None else features], dtype=np.int64),
    }


def _parse(lines: list[str], path: Path) -> Rows:
    labels: list[float] = []
    ends: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, line in enumerate(lines, start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            labels.append(_finite(fields[0]))
            previous = 0
            for field in fields[1:]:
                index, _, value = field.partition(":")
                column = int(index)
                if column <= previous:
                    raise ValueError(f"index {column} after {previous}: indices must ascend from 1")
                columns.append(column - 1)
                values.append(_finite(value))
                previous = column
        except ValueError as error:
            raise DataCorrupt(f"{path}, line {number}: {error}") from None
        ends.append(len(columns))
    return labels, ends, columns, values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def _labels(labels: npt.NDArray[np.float64], where: object, task: str) -> npt.NDArray[np.float64]:
    if task != "binary":
        return labels
    kinds = np.unique(labels)
    if len(kinds) != 2:
        shown = ", ".join(f"{k:g}" for k in kinds[:5]) + (", ..." if len(kinds) > 5 else "")
        raise DataCorrupt(f"{where}: a binary set must have two labels, this file has {shown}")
    return np.where(labels == kinds[1], 1.0, -1.0)


def read_set(
    files: Mapping[str, Path],
    *,
    features: int,
    task: str = "binary",
    sha256: str | None = None,
    rows: int | None = None,
) -> Arrays:
    """Format ``libsvm``: one file `data`. The other arguments are those of `read_libsvm`."""
    return read_libsvm(files["data"], features=features, task=task, sha256=sha256, rows=rows)
