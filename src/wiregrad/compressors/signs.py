"""Rows of signs, packed as in a payload, and their decoding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wiregrad import kernels
from wiregrad.compressors.encoded_block import EncodedBlock, Params
from wiregrad.compressors.identity import value_bytes
from wiregrad.kernels import sign as kernel

_PART = 1 << 16
"""Elements decoded at a time, a multiple of 8."""


class SignBlock(EncodedBlock):
    """Rows of signs: `scales` `[n, ⌈d/size⌉]`, one for every `size` of the d elements.

    `bits` uint8 `[n, ⌈d/8⌉]` as in the body: the first element in the lowest bit, set where it is
    negative (so sign(±0) = +1).
    """

    def __init__(
        self, bits: torch.Tensor, scales: torch.Tensor, size: int, params: Params = ()
    ) -> None:
        self.bits, self.scales, self.size = bits, scales, size
        self.params = [params] * len(bits)

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        if self._by_kernel(out):
            kernel.decode(self._packed(rows, out.shape[-1]), out)
            return
        if self.scales.shape[1] == 1 and out.numel() <= _PART:
            self._decode_together(rows, out)
            return
        for row, into in enumerate(out, rows.start):
            for part, signs in self._signs(row, into):
                part.copy_(signs)

    def _decode_together(self, rows: slice, out: torch.Tensor) -> None:
        """The same for short rows with one scale each, all of them at once."""
        patterns, packed = _patterns(out.dtype, out.device), self.bits[rows]
        room = out.new_empty(packed.numel(), 8)
        signs = _looked_up(patterns, packed.flatten(), room).view(len(packed), -1)
        torch.mul(signs[:, : out.shape[-1]], self.scales[rows].to(out.dtype), out=out)

    def subtract_from(self, x: torch.Tensor) -> None:
        # By parts: what is decoded never leaves the cache.
        if _by_numpy(x) and self.scales.shape[1] == 1:
            self._subtract_by_numpy(x.numpy())
            return
        for row, mine in enumerate(x):
            for part, signs in self._signs(row, mine):
                part.sub_(signs)

    def _subtract_by_numpy(self, x: np.ndarray[Any, Any]) -> None:
        """The same for rows with one scale each, with less overhead for each part."""
        d = x.shape[1]
        patterns = _patterns(self.scales.dtype, self.scales.device).numpy()
        buffer = np.empty((min(_PART, d + 7) // 8, 8), dtype=x.dtype)
        for mine, packed, scale in zip(x, self.bits.numpy(), self.scales.numpy(), strict=True):
            table = (patterns * scale).astype(x.dtype)
            for start in range(0, d, _PART):
                part = mine[start : start + _PART]
                bits = packed[start // 8 : (start + len(part) + 7) // 8]
                signs = np.take(table, bits, axis=0, out=buffer[: len(bits)], mode="clip")
                part -= signs.reshape(-1)[: len(part)]

    def _signs(self, row: int, like: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Parts of `like` `[d]`, each with what is decoded for it, in a buffer that is reused."""
        d, patterns = len(like), _patterns(like.dtype, like.device)
        scales = self.scales[row].to(like.dtype)
        if len(scales) == 1:
            patterns = patterns * scales
        buffer = like.new_empty(min(_PART, d + 7) // 8, 8)
        for start in range(0, d, _PART):
            part = like[start : start + _PART]
            bits = self.bits[row, start // 8 : (start + len(part) + 7) // 8]
            signs = _looked_up(patterns, bits, buffer[: len(bits)]).flatten()[: len(part)]
            if len(scales) > 1:
                places = torch.arange(start, start + len(part), device=like.device)
                signs *= scales[places // self.size]
            yield part, signs

    def add_to(self, total: torch.Tensor) -> None:
        if self._by_kernel(total):
            kernel.accumulate(self._packed(slice(None), len(total)), total)
            return
        for row in range(len(self.bits)):
            for part, signs in self._signs(row, total):
                part.add_(signs)

    def body(self, row: int) -> bytes:
        return value_bytes(self.scales[row]) + self.bits[row].cpu().numpy().tobytes()

    def _by_kernel(self, x: torch.Tensor) -> bool:
        return self.scales.dtype == torch.float32 and kernels.supports(x)

    def _packed(self, rows: slice, d: int) -> kernel.SignRows:
        return kernel.SignRows(self.scales[rows], self.bits[rows], d, self.size)


def packed_signs(x: torch.Tensor) -> torch.Tensor:
    """Where `x` `[n, d]` is negative, as uint8 `[n, ⌈d/8⌉]`, the first in the lowest bit."""
    if x.device.type == "cpu":
        # NumPy compares to bytes several times as fast as torch; it knows no bfloat16.
        wide = x if x.dtype in {torch.float32, torch.float64} else x.float()
        negative = np.less(wide.contiguous().numpy(), 0)
        return torch.from_numpy(np.packbits(negative, axis=-1, bitorder="little"))
    padded = functional.pad((x < 0).to(torch.uint8), (0, -x.shape[-1] % 8))
    places = torch.arange(8, dtype=torch.uint8, device=x.device)
    return (torch.unflatten(padded, -1, (-1, 8)) << places).sum(-1, dtype=torch.uint8)


def _by_numpy(x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in {torch.float32, torch.float64}


@cache
def _patterns(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """`[256, 8]`: the signs ±1 that a byte stands for."""
    bytes_ = torch.arange(256, device=device)[:, None]
    return (1 - 2 * (bytes_ >> torch.arange(8, device=device) & 1)).to(dtype)


def _looked_up(table: torch.Tensor, places: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """The rows of `table` at `places` (uint8), written to `out`."""
    if _by_numpy(table):
        # Twice as fast as torch; a byte is never out of range, and "clip" needs no buffer.
        np.take(table.numpy(), places.numpy(), axis=0, out=out.numpy(), mode="clip")
        return out
    return torch.index_select(table, 0, places.int(), out=out)
