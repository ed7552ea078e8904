"""No compression: the values as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import (
    Compressor,
    Content,
    Contract,
    EncodedBlock,
    Params,
    all_finite,
    register,
)
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators


class DenseBlock(EncodedBlock):
    """Rows as they are, `[n, d]`: the sender's own tensor, not a copy."""

    def __init__(self, values: torch.Tensor, params: list[Params]) -> None:
        self.decoded, self.params = values, params
        self._values = values

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        out.copy_(self._values[rows])

    def body(self, row: int) -> bytes:
        return value_bytes(self._values[row])

    def subtract_from(self, x: torch.Tensor) -> None:
        # x may be the very tensor that is sent.
        self._values = self.decoded = self._values.clone()
        x -= self._values

    def add_to(self, total: torch.Tensor) -> None:
        for row in self._values:
            total += row


@register("identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Compressor):
    """C(x) = x, the values in their own float type."""

    codec = 1
    source = "by definition"

    def contract(self, shape: Shape) -> Contract:
        return Contract("contractive", 1.0)

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        return DenseBlock(x, [()] * len(x))

    def content(self, shape: Shape, params: Params) -> Content:
        d = math.prod(shape)
        return Content(numel=d, values=d)

    def decode_rows(self, x: torch.Tensor) -> torch.Tensor | None:
        return x

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        return values_from(body, numel, dtype)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        return numel * dtype.itemsize


def value_bytes(x: torch.Tensor) -> bytes:
    """The little-endian bytes of a float vector."""
    return x.detach().contiguous().cpu().view(torch.uint8).numpy().tobytes()


def values_from(body: bytes, count: int, dtype: torch.dtype) -> torch.Tensor:
    """`count` finite values; raises TruncatedPayload, OversizedPayload or CorruptPayload."""
    need = count * dtype.itemsize
    if len(body) < need:
        raise wire.TruncatedPayload(f"{len(body)} bytes of values, expected {need}")
    if len(body) > need:
        raise wire.OversizedPayload(f"{len(body)} bytes of values, expected {need}")
    raw = torch.from_numpy(np.frombuffer(body, dtype=np.uint8).copy())
    values = raw.view(dtype) if count else torch.empty(0, dtype=dtype)
    if not all_finite(values):
        raise wire.CorruptPayload("NaN or Inf among the values")
    return values
