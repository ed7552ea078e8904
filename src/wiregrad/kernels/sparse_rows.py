"""Gradients of logistic losses over the sparse rows of many workers, at many points at once."""

from __future__ import annotations

from typing import NamedTuple

import torch

from wiregrad.kernels import native, path


class SparseMatrix(NamedTuple):
    """CSR on the CPU: `crow` int64 `[m + 1]`, `col` int32, `values` float64 `[nnz]`."""

    crow: torch.Tensor
    col: torch.Tensor
    values: torch.Tensor

    def addresses(self) -> tuple[int, int, int]:
        """Of the three tensors."""
        return self.crow.data_ptr(), self.col.data_ptr(), self.values.data_ptr()


def supports(*tensors: torch.Tensor) -> bool:
    """Whether kernels are in use and support these tensors: contiguous float64 on the CPU."""
    return path() != "off" and all(
        t.dtype == torch.float64 and t.device.type == "cpu" and t.is_contiguous() for t in tensors
    )


def logistic(
    rows: SparseMatrix,
    patterns: SparseMatrix,
    parts: torch.Tensor,
    x: torch.Tensor,
    onto: torch.Tensor,
    out: torch.Tensor,
    margins: torch.Tensor | None = None,
) -> None:
    """out[r, i] ← onto[r] − (1/m) Σ σ(−b·x[r]) b over the m rows b of part i of rows·patterns.

    `parts` int64 `[n, 2]`: first row and end; `x`, `onto` `[R, d]`; `out` `[R, n, d]`; `margins`
    `[R, rows]`, if given, gets b·x[r] of the parts' rows. The bits of a run depend neither on the
    other runs of the batch nor on the other workers. Raises ValueError on other shapes.
    """
    (runs, d), n = x.shape, len(parts)
    count = len(rows.crow) - 1
    if out.shape != (runs, n, d) or onto.shape != x.shape or parts.shape[1:] != (2,):
        raise ValueError(f"x {list(x.shape)}, onto {list(onto.shape)}, out {list(out.shape)}")
    if margins is not None and margins.shape != (runs, count):
        raise ValueError(f"margins must be [{runs}, {count}], got {list(margins.shape)}")
    native().logistic(
        *rows.addresses(),
        *patterns.addresses(),
        len(patterns.crow) - 1,
        d,
        parts.data_ptr(),
        n,
        x.data_ptr(),
        onto.data_ptr(),
        runs,
        out.data_ptr(),
        0 if margins is None else margins.data_ptr(),
        count,
    )
