"""The mean of dense rows."""

from __future__ import annotations

import torch

from wiregrad.kernels import native, rows_of


def mean_rows(rows: torch.Tensor, out: torch.Tensor) -> None:
    """Write the mean of `rows` `[n, d]` to `out` `[d]`: added in their order, then divided by n.

    The same bits as `zeros(d)`, `+= row` for each row, `/= n`.
    """
    address, n, d, stride = rows_of(rows)
    if out.shape != (d,):
        raise ValueError(f"out must be [{d}], got {list(out.shape)}")
    native().mean_rows(address, n, d, stride, out.data_ptr())
