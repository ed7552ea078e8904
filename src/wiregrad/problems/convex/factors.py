"""Factoring a sparse matrix whose sub-rows repeat, so that products with it cost less.

This module imports SciPy, which takes a third of a second; import it only when it is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from wiregrad.kernels.sparse_rows import SparseMatrix
from wiregrad.problems.convex.csr import Csr

PATTERN_CAPS = (32, 128)
"""Limits on the distinct sub-rows of a group of columns; the best factoring of these is used."""

Integers = npt.NDArray[np.int64]


class Factors(NamedTuple):
    """B = rows · patterns exactly, with rows `[m, P]` and patterns `[P, d]`, both sparse."""

    rows: SparseMatrix
    patterns: SparseMatrix


def factor(rows: Csr, signs: torch.Tensor, parts: int) -> Factors:
    """Factor `rows`, each times its sign, into patterns that repeat.

    One-hot and binary features have few distinct sub-rows over a group of neighbouring columns.
    The product of a point with such a sub-row is computed once per point and worker instead of once
    per row: on phishing 30 terms per row become 10. Of several groupings, and of none, the one with
    the least work is used.

    Args:
        rows: The matrix `[m, d]`.
        signs: ±1 for each row, float64 `[m]`.
        parts: Number of workers among whom the rows are split.
    """
    matrix, flips = rows.scipy(), signs.numpy()
    plain = (sparse.csr_array(sparse.diags_array(flips) @ matrix), sparse.eye_array(rows.d))
    choices = [plain, *(_grouped(matrix, flips, cap) for cap in PATTERN_CAPS)]
    z, p = min(choices, key=lambda c: 2 * c[0].nnz + parts * (2 * c[1].nnz + c[1].shape[0]))
    return Factors(_for_kernels(z), _for_kernels(p))


def _for_kernels(matrix: sparse.sparray) -> SparseMatrix:
    csr = sparse.csr_array(matrix)
    csr.sort_indices()
    return SparseMatrix(
        torch.from_numpy(csr.indptr.astype(np.int64)),
        torch.from_numpy(csr.indices.astype(np.int32)),
        torch.from_numpy(csr.data.astype(np.float64)),
    )


def _grouped(
    matrix: sparse.csr_array, signs: npt.NDArray[np.float64], cap: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The two factors, with at most `cap` patterns for each group of columns."""
    columns = sparse.csc_array(matrix)
    entries: list[tuple[Integers, Integers, npt.NDArray[np.float64]]] = []
    patterns: list[sparse.csr_array] = []
    count = 0
    for first, end, key in _groups(columns, cap):
        if key is None:  # too many distinct values: the column is its own pattern
            inside = slice(columns.indptr[first], columns.indptr[end])
            where, values = columns.indices[inside], columns.data[inside]
            ids, shown = np.full(len(where), count), np.ones((1, 1))
        else:
            where = np.flatnonzero(key)
            ids, values = count + key[where] - 1, np.ones(len(where))
            _, examples = np.unique(key[where], return_index=True)
            shown = columns[:, first:end].tocsr()[where[examples]].toarray()
        entries.append((where, ids, values * signs[where]))
        full = np.zeros((len(shown), columns.shape[1]))
        full[:, first:end] = shown
        patterns.append(sparse.csr_array(full))
        count += len(shown)
    rows, ids, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    joined = sparse.csr_array((values, (rows, ids)), shape=(columns.shape[0], count))
    return joined, sparse.csr_array(sparse.vstack(patterns))


def _groups(columns: sparse.csc_array, cap: int) -> list[tuple[int, int, Integers | None]]:
    """Groups of neighbouring columns, as (first, end, key).

    `key` `[m]` numbers the sub-row of each row in the group, from 1, with 0 for zeros; it is None
    for a single column with more than `cap` distinct values.
    """
    m, d = columns.shape
    found: list[tuple[int, int, Integers | None]] = []
    start, key = 0, np.zeros(m, np.int64)
    for c in range(d):
        inside = slice(columns.indptr[c], columns.indptr[c + 1])
        levels, which = np.unique(columns.data[inside], return_inverse=True)
        code = np.zeros(m, np.int64)
        code[columns.indices[inside]] = which + 1
        if len(levels) > cap:
            found += [(start, c, key)] if c > start else []
            found.append((c, c + 1, None))
            start, key = c + 1, np.zeros(m, np.int64)
            continue
        joined, distinct = _renumbered(key * (len(levels) + 1) + code)
        if distinct > cap and c > start:
            found.append((start, c, key))
            start = c
            joined, _ = _renumbered(code)
        key = joined
    if start < d:
        found.append((start, d, key))
    return found


def _renumbered(numbers: Integers) -> tuple[Integers, int]:
    """`numbers` replaced by their ranks 0, 1, 2, ..., where 0 stays 0, and the largest rank."""
    there = np.bincount(numbers) > 0
    there[0] = True
    return (np.cumsum(there) - 1)[numbers], int(there.sum()) - 1
