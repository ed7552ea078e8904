"""Sparse matrices by rows (CSR), and products with them on any device."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from scipy import sparse

SPARSE_BELOW = 0.15
"""Density below which torch's CSR product is faster than a dense one (a9a yes, phishing no)."""


class Csr(NamedTuple):
    """A sparse matrix `[m, d]` by rows."""

    crow: torch.Tensor
    """Where each row begins in `col` and `values`, and the end, int64 `[m + 1]`."""
    col: torch.Tensor
    """The column of each value, int64 `[nnz]`."""
    values: torch.Tensor
    """`[nnz]`."""
    d: int
    """Number of columns."""

    @property
    def m(self) -> int:
        """Number of rows."""
        return len(self.crow) - 1

    def to(self, device: torch.device) -> Csr:
        """This matrix on `device`."""
        return Csr(self.crow.to(device), self.col.to(device), self.values.to(device), self.d)

    def take(self, rows: torch.Tensor) -> Csr:
        """The rows with these numbers (int64), in the given order."""
        starts = self.crow[rows]
        counts = self.crow[rows + 1] - starts
        crow = functional.pad(counts.cumsum(0), (1, 0))
        shift = (starts - crow[:-1]).repeat_interleave(counts)
        place = torch.arange(len(shift), device=shift.device) + shift
        return Csr(crow, self.col[place], self.values[place], self.d)

    def slice(self, rows: slice) -> Csr:
        """The rows of a slice with a start and a stop; values are shared, not copied."""
        crow = self.crow[rows.start : rows.stop + 1]
        inside = slice(int(crow[0]), int(crow[-1]))
        return Csr(crow - crow[0], self.col[inside], self.values[inside], self.d)

    def scaled(self, factors: torch.Tensor) -> Csr:
        """Each row times its factor in `[m]`."""
        return self._replace(values=self.values * factors.repeat_interleave(self.crow.diff()))

    def dense(self) -> torch.Tensor:
        """The dense matrix `[m, d]`."""
        matrix = self.values.new_zeros(self.m, self.d)
        matrix[self.row_numbers(), self.col] = self.values
        return matrix

    def row_numbers(self) -> torch.Tensor:
        """The row of each value, int64 `[nnz]`."""
        return torch.arange(self.m, device=self.crow.device).repeat_interleave(self.crow.diff())

    def scipy(self) -> sparse.csr_array:
        """This matrix as SciPy's, whose import takes a third of a second."""
        from scipy import sparse  # noqa: PLC0415

        parts = (self.values.cpu().numpy(), self.col.cpu().numpy(), self.crow.cpu().numpy())
        return sparse.csr_array(parts, shape=(self.m, self.d))


class Rows(ABC):
    """The rows B `[m, d]` of one worker, in a form that torch multiplies fast."""

    @abstractmethod
    def times(self, x: torch.Tensor) -> torch.Tensor:
        """B xᵀ: from points `[R, d]` the products `[m, R]` of all rows with each point."""

    @abstractmethod
    def transposed_times(self, weights: torch.Tensor) -> torch.Tensor:
        """(Bᵀ weights)ᵀ: from weights `[m, R]` the weighted sums `[R, d]` of the rows."""


@dataclass(frozen=True)
class Dense(Rows):
    """Rows as a dense matrix `[m, d]`."""

    matrix: torch.Tensor

    def times(self, x: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self.matrix @ x.T

    def transposed_times(self, weights: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return weights.T @ self.matrix


class Sparse(Rows):
    """Rows as torch's CSR tensor, and its transpose."""

    def __init__(self, rows: Csr) -> None:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            # torch warns once per process that CSR is a beta feature
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

    def transposed_times(self, weights: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return (self._transposed @ weights).T


def faster_form(part: Csr) -> Rows:
    """`part` as sparse or dense rows, whichever multiplies faster."""
    is_sparse = len(part.values) < SPARSE_BELOW * part.m * part.d
    return Sparse(part) if is_sparse else Dense(part.dense())
