"""The rows of a batch, encoded block by block: what a channel delivers."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch

from wiregrad import wire
from wiregrad.compressors.encoded_block import EncodedBlock, Params
from wiregrad.compressors.primitives import BlockCompressor
from wiregrad.core.layout import Shape


class Roundtrip(NamedTuple):
    """What receivers decode, and what it costs: one entry of each list per row."""

    decoded: torch.Tensor
    """`[..., d]`, of the input's dtype and device."""
    params: list[tuple[Params, ...]]
    """The parameters of every block."""
    body_bits: list[int]
    wire_bits: list[int]


class Encoded:
    """n rows of d elements, encoded by one compressor, block by block.

    `like`: a tensor `[n, d]` whose float type and device the rows have. `blocks`: one entry for
    each block of `shapes`, None for a block without elements.
    """

    def __init__(
        self,
        compressor: BlockCompressor,
        shapes: tuple[Shape, ...],
        like: torch.Tensor,
        blocks: list[EncodedBlock | None],
    ) -> None:
        self.compressor, self.shapes, self.blocks = compressor, shapes, blocks
        self.rows = len(like)
        self.dtype, self.device = like.dtype, like.device
        self._sizes = [math.prod(shape) for shape in shapes]
        self._decoded: torch.Tensor | None = None

    @cached_property
    def params(self) -> list[tuple[Params, ...]]:
        """The parameters of every block, for each row."""
        empty = [(0,) * self.compressor.n_params] * self.rows
        each = [empty if block is None else block.params for block in self.blocks]
        return list(zip(*each, strict=True)) if each else [()] * self.rows

    def costs(self) -> list[tuple[int, int]]:
        """Body bits and wire bits of each row's payload, in closed form."""
        known: dict[tuple[Params, ...], tuple[int, int]] = {}
        for params in self.params:
            if params not in known:
                known[params] = self._cost(params)
        return [known[params] for params in self.params]

    def _cost(self, params: tuple[Params, ...]) -> tuple[int, int]:
        """Body bits and wire bits of a payload with these block parameters."""
        compressor = self.compressor
        table = tuple(wire.Block(d, p) for d, p in zip(self._sizes, params, strict=True))
        body = sum(compressor._body_bytes(b.numel, b.params, self.dtype) for b in table if b.numel)
        return 8 * body, 8 * (wire.header_bytes(compressor.codec, table, body) + body)

    @property
    def decoded(self) -> torch.Tensor | None:
        """What receivers decode, `[n, d]`, where it is at hand."""
        only = self.blocks[0] if len(self.blocks) == 1 else None
        return self._decoded if only is None or only.decoded is None else only.decoded

    def decode(self) -> torch.Tensor:
        """What receivers decode, `[n, d]`: computed once and kept, not to be written to."""
        if self.decoded is not None:
            return self.decoded
        empty = torch.empty(self.rows, sum(self._sizes), dtype=self.dtype, device=self.device)
        self._decoded = self.decode_into(empty)
        return self._decoded

    def decode_into(self, out: torch.Tensor) -> torch.Tensor:
        """Write what receivers decode to `out` `[n, d]`, and return it."""
        for block, piece in zip(self.blocks, self._split(out), strict=True):
            if block is not None:
                block.decode(slice(0, self.rows), piece)
        return out

    def count_nonzeros(self, row: int) -> tuple[int, ...]:
        """The number of elements of each block of this row that decode to other than 0."""
        return tuple(int(piece.count_nonzero()) for piece in self._split(self.decode()[row]))

    def add_to(self, total: torch.Tensor) -> None:
        """Add the decoded rows to `total` `[d]`, in place and in their order."""
        for block, piece in zip(self.blocks, self._split(total), strict=True):
            if block is not None:
                block.add_to(piece)

    def shares_memory_with(self, x: torch.Tensor) -> bool:
        """Whether some of the decoded rows lie in the memory of `x` itself."""
        storage = x.untyped_storage().data_ptr()
        return any(
            block.decoded.untyped_storage().data_ptr() == storage
            for block in self.blocks
            if block is not None and block.decoded is not None
        )

    def payload(self, row: int, tag: int = 0) -> wire.Payload:
        """The payload of this row, with the tag 0 to 15."""
        table, bodies = [], []
        for numel, params, block in zip(self._sizes, self.params[row], self.blocks, strict=True):
            table.append(wire.Block(numel, params))
            bodies.append(b"" if block is None else block.body(row))
        return wire.Payload(self.compressor.codec, self.dtype, tuple(table), b"".join(bodies), tag)

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The blocks of `[..., d]`, as views."""
        return torch.split(x, self._sizes, dim=-1)
