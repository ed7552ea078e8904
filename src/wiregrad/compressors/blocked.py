"""A compressor on the blocks of a vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from wiregrad import wire
from wiregrad.compressors.contract import Contract
from wiregrad.compressors.encoded import Encoded, Roundtrip
from wiregrad.compressors.primitives import BlockCompressor
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators


@dataclass(frozen=True)
class Blocked:
    """A compressor applied to each block of a vector on its own: one payload for the vector.

    This wrapper turns any family into its per-tensor, per-layer or whole-vector form. `shapes` are
    those of the blocks, in their order in the vector.

    Raises NonFiniteError wherever a vector to be compressed holds NaN or Inf, or where a decoded
    element would leave the range of its float type.
    """

    inner: BlockCompressor
    shapes: tuple[Shape, ...]

    @cached_property
    def sizes(self) -> list[int]:
        """Elements of each block."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def numel(self) -> int:
        """Elements of the vector, d."""
        return sum(self.sizes)

    def contract(self) -> Contract:
        """Class and constant on the whole vector: those of the worst block."""
        contracts = [self.inner.contract(s) for s in self.shapes if math.prod(s)]
        return max(contracts, key=lambda c: c.error, default=Contract("contractive", 1.0))

    def encode(self, x: torch.Tensor, generators: Generators = None) -> Encoded:
        """The rows of `x` `[n, d]`, encoded; where C(x) = x, they may refer to the memory of `x`.

        `generators`: one for each row, required where the compressor draws.
        """
        self._check(x, generators)
        self.inner.require_finite(x)
        blocks = [
            self.inner.encode_block(piece, generators, shape) if piece.shape[-1] else None
            for shape, piece in zip(self.shapes, self._split(x), strict=True)
        ]
        return Encoded(self.inner, self.shapes, x, blocks)

    def encode_with_feedback(
        self, residual: torch.Tensor, x: torch.Tensor | None, generators: Generators = None
    ) -> Encoded:
        """Encode the rows of residual + x; then residual ← residual + x − C(residual + x).

        `residual` and `x` are `[n, d]`; without `x`, nothing is added. In place, and in one pass
        over memory where the family has a kernel for it.
        """
        self._check(residual, generators)
        added: list[torch.Tensor | None] = [None] * len(self.shapes)
        if x is not None:
            added = list(self._split(x))
        blocks = [
            self.inner.encode_block_with_feedback(piece, plus, generators, shape)
            if piece.shape[-1]
            else None
            for shape, piece, plus in zip(self.shapes, self._split(residual), added, strict=True)
        ]
        return Encoded(self.inner, self.shapes, residual, blocks)

    def decode_rows(self, x: torch.Tensor) -> torch.Tensor | None:
        """The compressor's `decode_rows` of `x` `[m, d]`; None where there are several blocks."""
        return self.inner.decode_rows(x) if len(self.shapes) == 1 else None

    def compress(self, x: torch.Tensor, generator: torch.Generator | None = None) -> wire.Payload:
        """The payload of one vector `[d]`."""
        if x.dim() != 1:
            raise ValueError(f"compress takes one vector [d], got {tuple(x.shape)}")
        return self.encode(x.detach()[None], None if generator is None else [generator]).payload(0)

    def compress_rows(self, x: torch.Tensor, generators: Generators = None) -> list[wire.Payload]:
        """The payload of each row of `[n, d]`."""
        encoded = self.encode(x.detach(), generators)
        return [encoded.payload(row) for row in range(len(x))]

    def roundtrip(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        generators: Generators = None,
    ) -> Roundtrip:
        """What receivers decode of the rows of `[..., d]`, and what each row costs.

        It is written to `out` (contiguous, of the shape, float type and device of `x`; it may be
        `x`), whose content is undefined where NonFiniteError is raised.
        """
        target = torch.empty(x.shape, dtype=x.dtype, device=x.device) if out is None else out
        if target.shape != x.shape or target.dtype != x.dtype or target.device != x.device:
            raise ValueError("out must have the shape, float type and device of x")
        n, d = math.prod(x.shape[:-1]), x.shape[-1]
        encoded = self.encode(x.detach().reshape(n, d), generators)
        encoded.decode_into(target.view(n, d))
        costs = encoded.costs()
        return Roundtrip(target, encoded.params, [c[0] for c in costs], [c[1] for c in costs])

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The blocks of `[..., d]`, as views."""
        return torch.split(x, self.sizes, dim=-1)

    def _check(self, x: torch.Tensor, generators: Generators) -> None:
        if x.shape[-1] != self.numel:
            raise ValueError(f"vector of {x.shape[-1]} elements, expected {self.numel}")
        if self.inner.random and (generators is None or len(generators) != len(x)):
            raise ValueError(f"{self.inner.name} draws: one generator a row is required")
        if x.dtype not in wire.DTYPE_CODES:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in wire.DTYPE_CODES)
            raise ValueError(f"vector of {x.dtype}, allowed: {allowed}")
