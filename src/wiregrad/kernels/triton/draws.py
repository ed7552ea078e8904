"""Draws by counter as `kernels.draws` defines them, for tiles of eight elements a block."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from wiregrad.kernels.triton.launch import blocks, run

_BLOCK = 256


@triton.jit
def _halves(key, group, lane, stream):
    c0, c1, c2, c3 = tl.philox(key, group, group * 0 + stream, group * 0, group * 0)
    low, high = tl.where(lane < 2, c0, c1), tl.where(lane < 6, c2, c3)
    word = tl.where(lane < 4, low, high)
    return (word >> ((lane & 1) * 16).to(tl.uint32)) & 0xFFFF


@triton.jit
def draw(key, group, lane):
    """31 bits for element 8·group + lane, int32; `group` `[G, 1]`, `lane` `[1, 8]`."""
    upper, lower = _halves(key, group, lane, 0), _halves(key, group, lane, 1)
    return ((upper << 15) | (lower >> 1)).to(tl.int32, bitcast=True)


@triton.jit
def _philox(keys, out, stream, start, count, BLOCK: tl.constexpr):
    block = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = block < count
    counter = block + start
    c0, c1, c2, c3 = tl.philox(
        tl.load(keys), counter, counter * 0 + stream, counter * 0, counter * 0
    )
    to = out + block * 4
    tl.store(to, c0.to(tl.int64), mask=inside)
    tl.store(to + 1, c1.to(tl.int64), mask=inside)
    tl.store(to + 2, c2.to(tl.int64), mask=inside)
    tl.store(to + 3, c3.to(tl.int64), mask=inside)


def philox(keys: torch.Tensor, stream: int, start: int, count: int) -> torch.Tensor:
    """The words `[count, 4]`, int64, of the blocks from `start` on under the first of `keys`."""
    out = torch.empty(count, 4, dtype=torch.int64, device=keys.device)
    run(_philox, (blocks(count, _BLOCK),), keys, out, stream, start, count, BLOCK=_BLOCK)
    return out


def keys_for(keys: torch.Tensor | None, n: int, device: torch.device) -> torch.Tensor:
    """The keys of n rows that draw, on `device`; raises ValueError."""
    if keys is None or keys.dtype != torch.int64 or keys.shape != (n,):
        raise ValueError(f"{n} rows draw: a key for each, int64, is required")
    return keys.to(device).contiguous()
