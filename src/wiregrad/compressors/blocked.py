"""A compressor on the blocks of a vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from wiregrad import wire
from wiregrad.compressors.code import Params
from wiregrad.compressors.contract import Contract
from wiregrad.compressors.packet import Packet, Roundtrip
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators

if TYPE_CHECKING:
    from wiregrad.compressors.base import Compressor


@dataclass(frozen=True)
class Blocked:
    """A compressor applied to each block of a vector on its own: one payload, one table entry each.

    The wrapper that turns any family into its per-tensor, per-layer or whole-vector form.
    """

    inner: Compressor
    shapes: tuple[Shape, ...]

    @cached_property
    def sizes(self) -> list[int]:
        """Elements of each block."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def numel(self) -> int:
        """D."""
        return sum(self.sizes)

    @property
    def empty_params(self) -> Params:
        """The parameters of a block without elements."""
        return (0,) * self.inner.n_params

    def contract(self) -> Contract:
        """Class and constant on the whole vector: those of the worst block."""
        contracts = [self.inner.contract(s) for s in self.shapes if math.prod(s)]
        return max(contracts, key=lambda c: c.error, default=Contract("contractive", 1.0))

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The blocks of `[..., d]`, as views."""
        return torch.split(x, self.sizes, dim=-1)

    def code(self, x: torch.Tensor, generators: Generators = None) -> Packet:
        """The messages of the rows of `x` `[n, d]`, which may be `x` itself where C(x) = x.

        Raises NonFiniteError, as all of these do.
        """
        self._check(x, generators)
        self.inner.require_finite(x)
        codes = [
            self.inner.code(piece, generators, shape) if piece.shape[-1] else None
            for shape, piece in zip(self.shapes, self.split(x), strict=True)
        ]
        return Packet(self, x, codes)

    def feedback(
        self, residual: torch.Tensor, x: torch.Tensor | None, generators: Generators = None
    ) -> Packet:
        """The messages of the rows of residual + x; residual ← residual + x − C(residual + x).

        Both `[n, d]`; without `x` nothing is added. In place, in one pass where a family can.
        """
        self._check(residual, generators)
        added: list[torch.Tensor | None] = [None] * len(self.shapes)
        if x is not None:
            added = list(self.split(x))
        codes = [
            self.inner.feedback(piece, plus, generators, shape) if piece.shape[-1] else None
            for shape, piece, plus in zip(self.shapes, self.split(residual), added, strict=True)
        ]
        return Packet(self, residual, codes)

    def compress(self, x: torch.Tensor, generator: torch.Generator | None = None) -> wire.Payload:
        """The payload of one vector `[d]`."""
        if x.dim() != 1:
            raise ValueError(f"compress takes one vector [d], got {tuple(x.shape)}")
        return self.code(x.detach()[None], None if generator is None else [generator]).payload(0)

    def compress_rows(self, x: torch.Tensor, generators: Generators = None) -> list[wire.Payload]:
        """The payload of each row of `[n, d]`."""
        packet = self.code(x.detach(), generators)
        return [packet.payload(row) for row in range(len(x))]

    def roundtrip(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        generators: Generators = None,
    ) -> Roundtrip:
        """What the receivers of the rows of `[..., d]` decode, and what each costs.

        `out` (contiguous) may be `x`; where NonFiniteError is raised, its content is undefined.
        """
        target = torch.empty(x.shape, dtype=x.dtype, device=x.device) if out is None else out
        if target.shape != x.shape or target.dtype != x.dtype or target.device != x.device:
            raise ValueError("out must have the shape, float type and device of x")
        n, d = math.prod(x.shape[:-1]), x.shape[-1]
        packet = self.code(x.detach().reshape(n, d), generators)
        packet.decode_into(target.view(n, d))
        costs = packet.costs()
        return Roundtrip(target, packet.params, [c[0] for c in costs], [c[1] for c in costs])

    def cost(self, params: tuple[Params, ...], dtype: torch.dtype) -> tuple[int, int]:
        """Body bits and wire bits of a payload with these block parameters, in closed form."""
        blocks = tuple(wire.Block(s, p) for s, p in zip(self.sizes, params, strict=True))
        body = sum(self.inner._body_bytes(b.numel, b.params, dtype) for b in blocks if b.numel)
        return 8 * body, 8 * (wire.header_bytes(self.inner.codec, blocks, body) + body)

    def _check(self, x: torch.Tensor, generators: Generators) -> None:
        if x.shape[-1] != self.numel:
            raise ValueError(f"vector of {x.shape[-1]} elements, expected {self.numel}")
        if self.inner.random and (generators is None or len(generators) != len(x)):
            raise ValueError(f"{self.inner.name} draws: one generator a row is required")
        if x.dtype not in wire.DTYPE_CODES:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in wire.DTYPE_CODES)
            raise ValueError(f"vector of {x.dtype}, allowed: {allowed}")
