"""What a compressor family implements: the compression of single blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from wiregrad.compressors.content import Content
from wiregrad.compressors.contract import Contract
from wiregrad.compressors.encoded_block import EncodedBlock, Params, passes, stack_blocks
from wiregrad.compressors.reduce import all_finite
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import BlockKind, Shape
from wiregrad.kernels.draws import Generators


@dataclass(frozen=True, kw_only=True)
class BlockCompressor(ABC):
    """The primitives of a compressor, each for one block of d > 0 elements.

    A family implements `contract`, `encode_block`, `_decode` and `_body_bytes`; `content`, so that
    the papers' accounting conventions can price its messages; and `_encode_fused` and
    `decode_rows` where it has a faster way. `Compressor` adds blocks, framing and checks.
    """

    name: ClassVar[str]
    codec: ClassVar[int]
    """The family's number on the wire: unique, never reused."""
    n_params: ClassVar[int] = 0
    """Parameters of a block in the payload's block table."""
    random: ClassVar[bool] = False
    """Whether it draws random numbers: then a generator for each row is required."""
    default_blocks: ClassVar[BlockKind] = "whole"
    source: ClassVar[str]
    """Where the definition and the constant come from."""

    @abstractmethod
    def contract(self, shape: Shape) -> Contract:
        """Class and constant on one block of this shape."""

    @abstractmethod
    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        """The rows of `x` `[n, d]`, encoded; they are finite, and `x` must not be written to.

        `generators`: one for each row, or None where the family does not draw. `shape`: of the
        block, with d elements. Raises NonFiniteError when a decoded element would leave the range
        of x's float type.
        """

    def encode_block_with_feedback(
        self,
        residual: torch.Tensor,
        x: torch.Tensor | None,
        generators: Generators,
        shape: Shape,
    ) -> EncodedBlock:
        """Encode the rows of residual + x; then residual ← residual + x − decoded, in place.

        `residual` and `x` are `[n, d]`; without `x`, nothing is added. Raises NonFiniteError, also
        where an element is NaN or Inf; the content of `residual` is undefined then.
        """
        fused = self._encode_fused(residual, x, generators, subtract=True)
        if fused is not None:
            return fused
        blocks = []
        for rows in passes(*residual.shape):
            mine = residual[rows]
            if x is not None:
                mine += x[rows]
            self.require_finite(mine)
            drawing = None if generators is None else generators[rows]
            blocks.append(self.encode_block(mine, drawing, shape))
            blocks[-1].subtract_from(mine)
        return stack_blocks(blocks)

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        """By one fused kernel: `encode_block` of e + g, with `subtract` also e ← e + g − decoded.

        None where no kernel supports these tensors; nothing has been drawn or written then.
        """
        return None

    def decode_rows(self, x: torch.Tensor) -> torch.Tensor | None:
        """What receivers decode of the rows of `x` `[m, d]`, if the messages need not be encoded.

        An optional fast path for batched sweeps, which simulate many runs at once. Only for a
        compressor that does not draw and whose messages of d elements all cost the same; the
        decoded rows must be those of `encode_block`, to the bit. None: encode the rows instead.
        """
        return None

    def content(self, shape: Shape, params: Params) -> Content:
        """What the message of one block of this shape with these block parameters holds.

        By default it is not described: every convention then charges the payload body.
        """
        return Content.undescribed(shape)

    def require_finite(self, x: torch.Tensor) -> None:
        """Raises NonFiniteError where an element of `x` is NaN or Inf."""
        if not all_finite(x):
            raise self.not_finite()

    def not_finite(self) -> NonFiniteError:
        """The error for a vector with NaN or Inf."""
        return NonFiniteError(f"{self.name}: NaN or Inf in the vector to compress")

    @classmethod
    @abstractmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        """The vector `[numel]` (on the CPU) of a block body; raises PayloadError."""

    @classmethod
    @abstractmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        """Closed form of a block body's length, bytes. Raises CorruptPayload on bad `params`."""

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Parameter sets that the conformance suite and `wiregrad compressors` build it with.

        A family with a parameter that has no default must give its own.
        """
        return [{}]
