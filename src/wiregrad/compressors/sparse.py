"""What the sparse families share: sorted indices, then the values at them."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal, NamedTuple

import pydantic
import torch

from wiregrad import kernels, wire
from wiregrad.compressors.base import Compressor, Content, EncodedBlock, Params
from wiregrad.compressors.identity import value_bytes, values_from
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.layout import Shape
from wiregrad.kernels import sparse as kernel
from wiregrad.kernels.draws import Generators

IndexBits = Literal["log", 32]
"""Bits of an index: ⌈log₂ d⌉, or 32."""
Ratio = Annotated[float, pydantic.Field(gt=0, le=1)]


class SparseRow(NamedTuple):
    """Indices `[k]` (int64 or int32), strictly increasing, and the values `[k]` sent for them."""

    indices: torch.Tensor
    values: torch.Tensor


class SparseBlock(EncodedBlock):
    """The elements that are sent of each row, with indices of `width` bits."""

    def __init__(self, kept: list[SparseRow], width: int) -> None:
        self.kept, self._width = kept, width
        """What is sent of each row."""
        self._stacked: SparseRow | None = None
        self.params = [(len(row.indices), width) for row in kept]

    @classmethod
    def of_equal_counts(
        cls, indices: torch.Tensor, values: torch.Tensor, width: int
    ) -> SparseBlock:
        """As many elements of every row: indices and values `[n, k]`."""
        block = cls(list(map(SparseRow, indices, values)), width)
        block._stacked = SparseRow(indices, values)
        return block

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        out.zero_()
        if self._stacked is not None:
            out.scatter_(-1, self._stacked.indices[rows].long(), self._stacked.values[rows])
            return
        for row, kept in zip(out, self.kept[rows], strict=True):
            row[kept.indices] = kept.values

    def body(self, row: int) -> bytes:
        indices, values = self.kept[row]
        return wire.pack_bits(indices.cpu().numpy(), self._width) + value_bytes(values)

    def subtract_from(self, x: torch.Tensor) -> None:
        for row, kept in zip(x, self.kept, strict=True):
            row[kept.indices] -= kept.values

    def add_to(self, total: torch.Tensor) -> None:
        for indices, values in self.kept:
            if indices.dtype == torch.int32 and kernels.supports(values, total):
                kernel.accumulate(indices, values, total)
            else:
                total[indices] += values


class Sparse(Compressor):
    """Sends some elements and zeroes the rest.

    Block parameters: k, the bits of an index. Body: k indices, strictly increasing; k values.
    """

    n_params = 2

    index_bits: IndexBits

    @abstractmethod
    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SparseBlock:
        """The elements to send of each row of `x` `[n, d]`, none of them a view of `x`."""

    def _width(self, numel: int) -> int:
        return wire.index_width(numel) if self.index_bits == "log" else 32

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        fused = self._encode_fused(x, None, generators, subtract=False)
        if fused is not None:
            return fused
        return self._select(x, generators, shape)

    def content(self, shape: Shape, params: Params) -> Content:
        k, _ = params
        return Content(numel=math.prod(shape), values=k, indices=k)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        k, width = params
        split = wire.packed_bytes(k, width)
        indices = read_indices(body[:split], k, width, numel)
        out = torch.zeros(numel, dtype=dtype)
        out[indices] = values_from(body[split:], k, dtype)
        return out

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        k, width = params
        check_indices(k, width, numel)
        return wire.packed_bytes(k, width) + k * dtype.itemsize


def check_indices(k: int, width: int, numel: int) -> None:
    """Raises CorruptPayload unless k indices of `width` bits into `numel` elements can be."""
    if k > numel:
        raise wire.CorruptPayload(f"{k} indices into {numel} elements")
    allowed = (wire.index_width(numel), 32)
    if width not in allowed:
        raise wire.CorruptPayload(f"indices of {width} bits, allowed: {allowed[0]} or 32")


def read_indices(data: bytes, k: int, width: int, numel: int) -> torch.Tensor:
    """K strictly increasing indices below `numel`, int64, or CorruptPayload."""
    indices = torch.from_numpy(wire.unpack_bits(data, k, width).astype("int64"))
    if k and int(indices[-1]) >= numel:
        raise wire.CorruptPayload(f"index out of range: {int(indices[-1])} of {numel}")
    if not bool((indices[1:] > indices[:-1]).all()):
        raise wire.CorruptPayload("indices that do not increase")
    return indices


def resolve_k(k: int | None, ratio: float | None, d: int) -> int:
    """`k`, at most d, or max(1, ⌊ratio·d⌋); raises ConfigError unless just one of them is given."""
    if k is not None and ratio is None:
        return min(k, d)
    if ratio is not None and k is None:
        return max(1, math.floor(ratio * d))
    raise ConfigError("give either k or ratio")


def in_range(name: str, values: torch.Tensor, dtype: torch.dtype) -> None:
    """Raises NonFiniteError where a value to be sent (float64) leaves the range of `dtype`."""
    if bool((values.abs() > torch.finfo(dtype).max).any()):
        raise NonFiniteError(f"{name}: a rescaled element leaves the range of {dtype}")
