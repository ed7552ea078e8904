"""No compression: the values as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import (
    Compressor,
    Contract,
    Generators,
    Params,
    all_finite,
    register,
)
from wiregrad.layout import Shape


@register("identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Compressor):
    """C(x) = x, the values in their own float type."""

    codec = 1
    source = "by definition"

    def contract(self, shape: Shape) -> Contract:
        return Contract("contractive", 1.0)

    def _roundtrip(
        self, x: torch.Tensor, out: torch.Tensor, generators: Generators, shape: Shape
    ) -> list[Params]:
        if out is not x:
            out.copy_(x)
        return [()] * len(x)

    def _encode(
        self, x: torch.Tensor, generator: torch.Generator | None, shape: Shape
    ) -> tuple[Params, bytes]:
        return (), value_bytes(x)

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
