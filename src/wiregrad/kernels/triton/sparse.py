"""Twin of `kernels.sparse.accumulate`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.triton.launch import blocks, rows_of, run

_BLOCK = 256


@triton.jit
def _accumulate(order, at, values, out, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    index = tl.load(at + place, mask=inside, other=-1)
    before = tl.load(at + place - 1, mask=inside & (place > 0), other=-1)
    adds = inside & (index != before)
    first = adds
    total = tl.load(out + index, mask=first, other=0.0)
    left = tl.max(adds.to(tl.int32), axis=0)
    while left > 0:
        source = tl.load(order + place, mask=adds, other=0)
        total += tl.load(values + source, mask=adds, other=0.0)
        place += 1
        adds &= place < count
        adds &= tl.load(at + place, mask=adds, other=-1) == index
        left = tl.max(adds.to(tl.int32), axis=0)
    tl.store(out + index, total, mask=first)


def accumulate(indices: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
    """Twin of `kernels.sparse.accumulate`: the values for one index are added by one lane."""
    (d,) = out.shape
    rows_of(out)
    if indices.shape != values.shape or not indices.device == values.device == out.device:
        raise ValueError(f"{list(values.shape)} values at {list(indices.shape)} indices")
    if indices.dtype != torch.int32 or values.dtype != torch.float32:
        raise ValueError(f"{values.dtype} at {indices.dtype}, allowed: float32 at int32")
    if not (indices.is_contiguous() and values.is_contiguous()):
        raise ValueError("indices and values must be contiguous")
    flat = indices.flatten()
    outside = (flat < 0) | (flat >= d)
    found, again = torch.stack([outside.any(), (flat[1:] <= flat[:-1]).any()]).tolist()
    if found:
        flat = flat[: int(outside.nonzero()[0])]
    order = torch.arange(len(flat), device=flat.device)
    if again:
        flat, order = flat.sort(stable=True)
    if len(flat):
        run(
            _accumulate, (blocks(len(flat), _BLOCK),), order, flat, values, out, len(flat),
            BLOCK=_BLOCK,
        )  # fmt: skip
    if found:
        raise IndexError(f"an index is not within [0, {d})")
