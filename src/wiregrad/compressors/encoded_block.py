"""Rows encoded by a compressor, for one block of the vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch

Params = tuple[int, ...]
"""The parameters of one block of a payload, as its block table holds them."""

_PASS_ELEMENTS = 1 << 18
"""Elements worked on at a time: bounds the temporaries of a pass over the rows."""


class EncodedBlock(ABC):
    """n rows of one block of d elements, as compact as the bodies of their payloads.

    It stays on the sender's device and holds no decoded vector until somebody asks for one.
    """

    params: list[Params]
    """The block parameters of each row."""
    decoded: torch.Tensor | None = None
    """What receivers decode, `[n, d]`, where it is at hand anyway."""

    @abstractmethod
    def decode(self, rows: slice, out: torch.Tensor) -> None:
        """Write what receivers decode of these rows to `out` `[rows, d]`.

        Bit for bit the same on every device and for every choice of rows.
        """

    @abstractmethod
    def body(self, row: int) -> bytes:
        """The body of this row's block in its payload."""

    def subtract_from(self, x: torch.Tensor) -> None:
        """Subtract the decoded rows from `x` `[n, d]`, in place."""
        for rows, decoded in self._decoded_in_passes(x):
            x[rows] -= decoded

    def add_to(self, total: torch.Tensor) -> None:
        """Add the decoded rows to `total` `[d]`, in place and in their order."""
        for _, decoded in self._decoded_in_passes(total):
            for row in decoded:
                total += row

    def _decoded_in_passes(self, like: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """The decoded rows, some at a time, in one buffer of the type of `like` `[..., d]`."""
        n, d = len(self.params), like.shape[-1]
        buffer = like.new_empty(min(n, rows_per_pass(d)), d)
        for rows in passes(n, d):
            piece = buffer[: rows.stop - rows.start]
            self.decode(rows, piece)
            yield rows, piece


class StackedBlocks(EncodedBlock):
    """The rows of several encoded blocks, one after the other."""

    def __init__(self, blocks: Sequence[EncodedBlock]) -> None:
        self._blocks = blocks
        self.params = [params for block in blocks for params in block.params]

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        """See EncodedBlock."""
        start = 0
        for block in self._blocks:
            n = len(block.params)
            low, high = max(rows.start, start), min(rows.stop, start + n)
            if low < high:
                into = out[low - rows.start : high - rows.start]
                block.decode(slice(low - start, high - start), into)
            start += n

    def body(self, row: int) -> bytes:
        """See EncodedBlock."""
        for block in self._blocks:
            if row < len(block.params):
                return block.body(row)
            row -= len(block.params)
        raise IndexError(f"row {row}")

    def add_to(self, total: torch.Tensor) -> None:
        """See EncodedBlock."""
        for block in self._blocks:
            block.add_to(total)


def stack_blocks(blocks: Sequence[EncodedBlock]) -> EncodedBlock:
    """The rows of these encoded blocks as one, at least one."""
    return blocks[0] if len(blocks) == 1 else StackedBlocks(blocks)


def rows_per_pass(d: int) -> int:
    """Rows of d elements that are worked on together, so that they stay in the cache."""
    return max(1, _PASS_ELEMENTS // max(1, d))


def passes(n: int, d: int) -> Iterator[slice]:
    """The n rows of d elements, some at a time; at least one pass."""
    step = rows_per_pass(d)
    for start in range(0, max(1, n), step):
        yield slice(start, min(n, start + step))
