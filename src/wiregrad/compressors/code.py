"""What a compressor makes of n rows: their messages for one block, packed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch

Params = tuple[int, ...]
Generators = Sequence[torch.Generator] | None

_PASS = 1 << 18
"""Elements decoded at a time: bounds the temporaries of a pass over the rows."""


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
        step = min(n, max(1, _PASS // d))
        buffer = like.new_empty(step, d)
        for start in range(0, n, step):
            rows = slice(start, min(n, start + step))
            piece = buffer[: rows.stop - rows.start]
            self.decode(rows, piece)
            yield rows, piece
