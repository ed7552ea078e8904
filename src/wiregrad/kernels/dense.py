"""Kernels on dense vectors: the mean of rows, and the step of AMSGrad."""

from __future__ import annotations

import numpy as np
import torch

from wiregrad.kernels import native, require, rows_of, supports, with_twins


@with_twins
def mean_rows(rows: torch.Tensor, out: torch.Tensor, divisor: float | None = None) -> None:
    """Write the mean of `rows` `[n, d]` to `out` `[d]`: added in their order, then divided by n.

    The same bits as a loop over the rows: zeros, += row, and /= n, or /= `divisor`.
    """
    require(rows, out)
    address, n, d, stride = rows_of(rows)
    if out.shape != (d,):
        raise ValueError(f"out must be [{d}], got {list(out.shape)}")
    native().mean_rows(address, n, d, stride, out.data_ptr(), n if divisor is None else divisor)


@with_twins
def amsgrad_step(
    x: torch.Tensor,
    m: torch.Tensor,
    v: torch.Tensor,
    v_hat: torch.Tensor | None,
    g: torch.Tensor,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    eps_inside: bool,
) -> bool:
    """One step of AMSGrad on `[d]`, in place and in one pass over memory.

    The same bits as the formula in torch (`wiregrad.methods.amsgrad.plain_step`), whose arguments
    it takes. Returns False, with nothing touched, if no kernel takes these tensors. Raises
    ValueError for vectors of different sizes.
    """
    if x.dim() != 1 or not supports(x, m, v, v_hat, g):
        return False
    state = [t for t in (x, m, v, v_hat, g) if t is not None]
    if any(t.shape != (x.numel(),) for t in state):
        raise ValueError(f"vectors of one size expected, got {[list(t.shape) for t in state]}")
    kept = 0 if v_hat is None else v_hat.data_ptr()
    native().amsgrad(
        x.data_ptr(),
        m.data_ptr(),
        v.data_ptr(),
        kept,
        g.data_ptr(),
        x.numel(),
        lr,
        beta1,
        beta2,
        eps,
        eps_inside,
    )
    return True


def nearest_root(x: torch.Tensor) -> torch.Tensor:
    """Square roots to the nearest number: torch's own are off by one on the CPU, about 1 in 100."""
    if x.device.type == "cpu" and x.dtype in {torch.float32, torch.float64}:
        return torch.from_numpy(np.sqrt(x.numpy()))
    return x.sqrt()
