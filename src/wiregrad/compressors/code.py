"""What a compressor makes of n rows: their messages for one block, packed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch

Params = tuple[int, ...]

_PASS = 1 << 18
"""Elements worked on at a time: bounds the temporaries of a pass over the rows."""


class Code(ABC):
    """The messages of n rows for one block of d elements, as compact as their bodies.

    It stays on the sender's device and holds no decoded vector until somebody asks for one.
    """

    params: list[Params]
    """The block parameters of each row."""
    whole: torch.Tensor | None = None
    """What is decoded, `[n, d]`, where it is at hand anyway."""

    @abstractmethod
    def decode(self, rows: slice, out: torch.Tensor) -> None:
        """Write what the receivers of these rows decode to `out` `[rows, d]`.

        Bit for bit the same on every device and for every choice of rows.
        """

    @abstractmethod
    def body(self, row: int) -> bytes:
        """The body of this row's block."""

    def subtract_from(self, x: torch.Tensor) -> None:
        """X ← x − decoded, for `x` `[n, d]`."""
        for rows, decoded in self._in_passes(x):
            x[rows] -= decoded

    def add_to(self, total: torch.Tensor) -> None:
        """Total ← total + row, one row after the other, for `total` `[d]`."""
        for _, decoded in self._in_passes(total):
            for row in decoded:
                total += row

    def _in_passes(self, like: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """The decoded rows, some at a time, in one buffer of the type of `like` `[..., d]`."""
        n, d = len(self.params), like.shape[-1]
        buffer = like.new_empty(min(n, rows_per_pass(d)), d)
        for rows in passes(n, d):
            piece = buffer[: rows.stop - rows.start]
            self.decode(rows, piece)
            yield rows, piece


class Stacked(Code):
    """The rows of several codes, one code after the other."""

    def __init__(self, codes: Sequence[Code]) -> None:
        self._codes = codes
        self.params = [params for code in codes for params in code.params]

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        at = 0
        for code in self._codes:
            n = len(code.params)
            low, high = max(rows.start, at), min(rows.stop, at + n)
            if low < high:
                code.decode(slice(low - at, high - at), out[low - rows.start : high - rows.start])
            at += n

    def body(self, row: int) -> bytes:
        for code in self._codes:
            if row < len(code.params):
                return code.body(row)
            row -= len(code.params)
        raise IndexError(f"row {row}")

    def add_to(self, total: torch.Tensor) -> None:
        for code in self._codes:
            code.add_to(total)


def stacked(codes: Sequence[Code]) -> Code:
    """These codes as one."""
    return codes[0] if len(codes) == 1 else Stacked(codes)


def rows_per_pass(d: int) -> int:
    """Rows of d elements that are worked on together, so that they stay in the cache."""
    return max(1, _PASS // max(1, d))


def passes(n: int, d: int) -> Iterator[slice]:
    """The n rows of d elements, some at a time; at least one pass."""
    step = rows_per_pass(d)
    for start in range(0, max(1, n), step):
        yield slice(start, min(n, start + step))
