"""The messages of n rows, block by block: what a channel delivers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from wiregrad import wire
from wiregrad.compressors.code import Code, Params

if TYPE_CHECKING:
    from wiregrad.compressors.base import Blocked


class Roundtrip(NamedTuple):
    """What a receiver decodes, and what it cost: one entry of the lists per row."""

    decoded: torch.Tensor
    """`[..., d]`, of the input's dtype and device."""
    params: list[tuple[Params, ...]]
    """The parameters of every block."""
    body_bits: list[int]
    wire_bits: list[int]


class Packet:
    """The messages of n rows of one compressor on its blocks; None stands for an empty block."""

    def __init__(self, blocked: Blocked, like: torch.Tensor, codes: list[Code | None]) -> None:
        self.blocked, self.codes = blocked, codes
        self.rows = len(like)
        self.dtype, self.device = like.dtype, like.device
        self._decoded: torch.Tensor | None = None

    @cached_property
    def params(self) -> list[tuple[Params, ...]]:
        """The parameters of every block, for each row."""
        empty = [self.blocked.empty_params] * self.rows
        each = [empty if code is None else code.params for code in self.codes]
        return list(zip(*each, strict=True)) if each else [()] * self.rows

    def costs(self) -> list[tuple[int, int]]:
        """Body bits and wire bits of each row, in closed form."""
        known: dict[tuple[Params, ...], tuple[int, int]] = {}
        for params in self.params:
            if params not in known:
                known[params] = self.blocked.cost(params, self.dtype)
        return [known[params] for params in self.params]

    @property
    def decoded(self) -> torch.Tensor | None:
        """What the receivers decode, `[n, d]`, where it is at hand."""
        only = self.codes[0] if len(self.codes) == 1 else None
        return self._decoded if only is None or only.whole is None else only.whole

    def decode(self) -> torch.Tensor:
        """What the receivers decode, `[n, d]`: kept, and not to be written to."""
        if self.decoded is not None:
            return self.decoded
        room = torch.empty(self.rows, self.blocked.numel, dtype=self.dtype, device=self.device)
        self._decoded = self.decode_into(room)
        return self._decoded

    def decode_into(self, out: torch.Tensor) -> torch.Tensor:
        """What the receivers decode, written to `out` `[n, d]`."""
        for code, piece in zip(self.codes, self.blocked.split(out), strict=True):
            if code is not None:
                code.decode(slice(0, self.rows), piece)
        return out

    def add_to(self, total: torch.Tensor) -> None:
        """Total ← total + row, one row after the other, for `total` `[d]`."""
        for code, piece in zip(self.codes, self.blocked.split(total), strict=True):
            if code is not None:
                code.add_to(piece)

    def payload(self, row: int, tag: int = 0) -> wire.Payload:
        """The payload of this row."""
        blocks, bodies = [], []
        for numel, params, code in zip(
            self.blocked.sizes, self.params[row], self.codes, strict=True
        ):
            blocks.append(wire.Block(numel, params))
            bodies.append(b"" if code is None else code.body(row))
        codec = self.blocked.inner.codec
        return wire.Payload(codec, self.dtype, tuple(blocks), b"".join(bodies), tag)
