"""What sparse messages share: sorted indices, then the values at them."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal, NamedTuple

import pydantic
import torch

from wiregrad import kernels, wire
from wiregrad.compressors.base import Code, Compressor, Params
from wiregrad.compressors.identity import value_bytes, values_from
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.layout import Shape
from wiregrad.kernels import sparse as fused
from wiregrad.kernels.draws import Generators

IndexBits = Literal["log", 32]
"""Bits of an index: ⌈log₂ d⌉, or 32."""
Ratio = Annotated[float, pydantic.Field(gt=0, le=1)]


class Selection(NamedTuple):
    """Indices `[k]` (int64 or int32), strictly increasing, and the values `[k]` sent for them."""

    indices: torch.Tensor
    values: torch.Tensor


class Selections(Code):
    """What is sent of each row; indices of `width` bits."""

    def __init__(self, found: list[Selection], width: int) -> None:
        self._found, self._width = found, width
        self._even: Selection | None = None
        self.params = [(len(each.indices), width) for each in found]

    @classmethod
    def even(cls, indices: torch.Tensor, values: torch.Tensor, width: int) -> Selections:
        """As many of each row: indices and values `[n, k]`."""
        made = cls(list(map(Selection, indices, values)), width)
        made._even = Selection(indices, values)
        return made

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        out.zero_()
        if self._even is not None:
            out.scatter_(-1, self._even.indices[rows].long(), self._even.values[rows])
            return
        for row, found in zip(out, self._found[rows], strict=True):
            row[found.indices] = found.values

    def body(self, row: int) -> bytes:
        indices, values = self._found[row]
        return wire.pack_bits(indices.cpu().numpy(), self._width) + value_bytes(values)

    def subtract_from(self, x: torch.Tensor) -> None:
        for row, found in zip(x, self._found, strict=True):
            row[found.indices] -= found.values

    def add_to(self, total: torch.Tensor) -> None:
        for indices, values in self._found:
            if indices.dtype == torch.int32 and kernels.fits(values, total):
                fused.accumulate(indices, values, total)
            else:
                total[indices] += values


class Sparse(Compressor):
    """Sends some elements and zeroes the rest.

    Block parameters: k, the bits of an index. Body: k indices, strictly increasing; k values.
    """

    n_params = 2

    index_bits: IndexBits

    @abstractmethod
    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> Selections:
        """What is sent of each row of `x` `[n, d]`; no view of `x`."""

    def _width(self, numel: int) -> int:
        return wire.index_width(numel) if self.index_bits == "log" else 32

    def code(self, x: torch.Tensor, generators: Generators, shape: Shape) -> Code:
        found = self._fused(x, None, generators, subtract=False)
        if found is not None:
            return found
        return self._select(x, generators, shape)

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
