"""e += g, and the bit patterns of |e_j|, by which elements are selected."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.triton.launch import blocks, rows_and_more, run

_BLOCK = 1024
SIGN_OFF, INFINITE = tl.constexpr(0x7FFFFFFF), tl.constexpr(0x7F800000)


@triton.jit
def _sizes(
    e, g, sizes, largest, d, e_stride, g_stride,
    ADD: tl.constexpr, STORE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = j < d
    x = tl.load(e + row * e_stride + j, mask=inside, other=0.0)
    if ADD:
        x += tl.load(g + row * g_stride + j, mask=inside, other=0.0)
        tl.store(e + row * e_stride + j, x, mask=inside)
    size = x.to(tl.int32, bitcast=True) & SIGN_OFF
    if STORE:
        tl.store(sizes + row * d + j, size, mask=inside)
    tl.atomic_max(largest + row, tl.max(size, axis=0))


def add(
    e: torch.Tensor, g: torch.Tensor | None, keep: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add g to e; the bits of its largest size `[n]`, with `keep` of all of them `[n, d]`, int32.

    They are in the order of the sizes, NaN above all.
    """
    n, d, stride, more, more_stride = rows_and_more(e, g)
    largest = torch.zeros(n, dtype=torch.int32, device=e.device)
    sizes = torch.empty((n, d) if keep else (0,), dtype=torch.int32, device=e.device)
    run(
        _sizes, (blocks(d, _BLOCK), n), e, more, sizes, largest, d, stride, more_stride,
        ADD=g is not None, STORE=keep, BLOCK=_BLOCK,
    )  # fmt: skip
    return largest, sizes


def before(counts: torch.Tensor) -> torch.Tensor:
    """How many there are in the blocks before each, of `counts` `[n, blocks]`."""
    return counts.cumsum(-1) - counts
