"""Sparse rows: CSR, their products on any device, and their factors where sub-rows repeat."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch.nn import functional

from wiregrad.kernels.sparse_rows import SparseMatrix

SPARSE_BELOW = 0.15
"""Density under which torch's CSR product is faster than a dense one (a9a yes, phishing no)."""
PATTERN_CAPS = (32, 128)
"""Patterns that a group of columns may have: the cheaper of these factorings is taken."""

Integers = npt.NDArray[np.int64]


class Csr(NamedTuple):
    """A sparse matrix `[m, d]` by rows: `crow` `[m + 1]`, `col` and `values` `[nnz]`."""

    crow: torch.Tensor
    col: torch.Tensor
    values: torch.Tensor
    d: int

    @property
    def m(self) -> int:
        """Number of rows."""
        return len(self.crow) - 1

    def to(self, device: torch.device) -> Csr:
        """The same on `device`."""
        return Csr(self.crow.to(device), self.col.to(device), self.values.to(device), self.d)

    def take(self, rows: torch.Tensor) -> Csr:
        """The rows with these numbers (int64)."""
        starts = self.crow[rows]
        counts = self.crow[rows + 1] - starts
        crow = functional.pad(counts.cumsum(0), (1, 0))
        shift = (starts - crow[:-1]).repeat_interleave(counts)
        place = torch.arange(len(shift), device=shift.device) + shift
        return Csr(crow, self.col[place], self.values[place], self.d)

    def slice(self, rows: slice) -> Csr:
        """Consecutive rows."""
        crow = self.crow[rows.start : rows.stop + 1]
        inside = slice(int(crow[0]), int(crow[-1]))
        return Csr(crow - crow[0], self.col[inside], self.values[inside], self.d)

    def scaled(self, factors: torch.Tensor) -> Csr:
        """Each row times its factor `[m]`."""
        return self._replace(values=self.values * factors.repeat_interleave(self.crow.diff()))

    def dense(self) -> torch.Tensor:
        """`[m, d]`."""
        matrix = self.values.new_zeros(self.m, self.d)
        matrix[self.row_numbers(), self.col] = self.values
        return matrix

    def row_numbers(self) -> torch.Tensor:
        """The row of each value, `[nnz]`."""
        return torch.arange(self.m, device=self.crow.device).repeat_interleave(self.crow.diff())

    def scipy(self) -> sparse.csr_array:
        """The same for SciPy."""
        parts = (self.values.cpu().numpy(), self.col.cpu().numpy(), self.crow.cpu().numpy())
        return sparse.csr_array(parts, shape=(self.m, self.d))


class Rows(ABC):
    """The rows B `[m, d]` of one worker, for torch: any device and float type."""

    @abstractmethod
    def times(self, x: torch.Tensor) -> torch.Tensor:
        """B x[r] for each r: `[m, R]` from `[R, d]`."""

    @abstractmethod
    def back(self, weights: torch.Tensor) -> torch.Tensor:
        """Bᵀ weights[:, r] for each r: `[R, d]` from `[m, R]`."""


@dataclass(frozen=True)
class Dense(Rows):
    """Rows as a dense matrix."""

    matrix: torch.Tensor

    def times(self, x: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self.matrix @ x.T

    def back(self, weights: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return weights.T @ self.matrix


class Sparse(Rows):
    """Rows in CSR, and their transpose."""

    def __init__(self, rows: Csr) -> None:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            # torch calls CSR a beta feature, once a process
            self._matrix = torch.sparse_csr_tensor(*rows[:3], (rows.m, rows.d))
            by_column = self._matrix.to_sparse_csc()
            self._transposed = torch.sparse_csr_tensor(
                by_column.ccol_indices(),
                by_column.row_indices(),
                by_column.values(),
                (rows.d, rows.m),
            )

    def times(self, x: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self._matrix @ x.T

    def back(self, weights: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return (self._transposed @ weights).T


def rows_of(part: Csr) -> Rows:
    """`part` in the form whose products are faster."""
    is_sparse = len(part.values) < SPARSE_BELOW * part.m * part.d
    return Sparse(part) if is_sparse else Dense(part.dense())


class Factors(NamedTuple):
    """B = rows · patterns, exactly: rows over patterns, patterns `[P, d]` over columns."""

    rows: SparseMatrix
    patterns: SparseMatrix


def factor(rows: Csr, signs: torch.Tensor, parts: int) -> Factors:
    """`rows`, each times its sign ±1, as rows of repeating sub-rows.

    One-hot and binary features make few distinct sub-rows over a group of neighbouring columns;
    each is summed once a point in place of once a row (phishing: 30 terms a row become 10). The
    grouping with the least work is taken, for rows in `parts` parts; it may be none.
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
    """Rows over patterns, and patterns, with at most `cap` patterns a group of columns."""
    columns = sparse.csc_array(matrix)
    entries: list[tuple[Integers, Integers, npt.NDArray[np.float64]]] = []
    patterns: list[sparse.csr_array] = []
    count = 0
    for first, end, key in _groups(columns, cap):
        if key is None:  # too many values for patterns: the column stands for itself
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
    """Runs of columns, and the number of each row's sub-row there: from 1, and 0 for zeros."""
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
    """Distinct numbers become 0, 1, 2, … in their order, 0 staying 0; how many are not 0."""
    there = np.bincount(numbers) > 0
    there[0] = True
    return (np.cumsum(there) - 1)[numbers], int(there.sum()) - 1
