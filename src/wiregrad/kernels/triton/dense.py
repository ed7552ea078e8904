"""Twins of `kernels.dense`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.triton.launch import blocks, rows_of, run, supports

_BLOCK = 1024


@triton.jit
def _mean(rows, out, n, d, stride, divisor, BLOCK: tl.constexpr):
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    total = tl.zeros((BLOCK,), tl.float32)
    row = tl.zeros((1,), tl.int64)
    for _ in range(n):
        total += tl.load(rows + row * stride + j, mask=inside, other=0.0)
        row += 1
    tl.store(out + j, tl.div_rn(total, total * 0.0 + divisor), mask=inside)


@triton.jit
def _amsgrad(
    x, m, v, v_hat, g, d, negative_lr, weight1, beta2, weight2, eps,
    KEEP: tl.constexpr, INSIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    more = tl.load(g + j, mask=inside, other=0.0)
    first = tl.load(m + j, mask=inside, other=0.0)
    first += (more - first) * weight1
    largest = tl.load(v + j, mask=inside, other=0.0) * beta2
    largest += more * weight2 * more
    tl.store(m + j, first, mask=inside)
    tl.store(v + j, largest, mask=inside)
    if KEEP:
        before = tl.load(v_hat + j, mask=inside, other=0.0)
        largest = tl.maximum(before, largest, propagate_nan=tl.PropagateNan.ALL)
        tl.store(v_hat + j, largest, mask=inside)
    root = tl.sqrt_rn(largest + eps) if INSIDE else tl.sqrt_rn(largest) + eps
    step = tl.div_rn(first * negative_lr, root)
    tl.store(x + j, tl.load(x + j, mask=inside, other=0.0) + step, mask=inside)


def mean_rows(rows: torch.Tensor, out: torch.Tensor, divisor: float | None = None) -> None:
    """Twin of `kernels.dense.mean_rows`."""
    n, d, stride = rows_of(rows)
    rows_of(out)
    if out.shape != (d,) or out.device != rows.device:
        raise ValueError(f"out must be [{d}] on {rows.device}, got {list(out.shape)}")
    by = float(n if divisor is None else divisor)
    run(_mean, (blocks(d, _BLOCK),), rows, out, n, d, stride, by, BLOCK=_BLOCK)


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
    """Twin of `kernels.dense.amsgrad_step`."""
    state = [t for t in (x, m, v, v_hat, g) if t is not None]
    if x.dim() != 1 or not all(supports(t) for t in state):
        return False
    if any(t.shape != (x.numel(),) or t.device != x.device for t in state):
        raise ValueError(f"vectors of one size expected, got {[list(t.shape) for t in state]}")
    run(
        _amsgrad, (blocks(x.numel(), _BLOCK),), x, m, v, v if v_hat is None else v_hat, g,
        x.numel(), -lr, 1 - beta1, beta2, 1 - beta2, eps,
        KEEP=v_hat is not None, INSIDE=eps_inside, BLOCK=_BLOCK,
    )  # fmt: skip
    return True
