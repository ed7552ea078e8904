"""Quantisers that send one scale and a small integer level for every element."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import Params
from wiregrad.compressors.coded import Coded
from wiregrad.compressors.identity import value_bytes
from wiregrad.compressors.reduce import at_least, scale_dtype
from wiregrad.compressors.sign import read_scales
from wiregrad.errors import NonFiniteError


class LevelCode(NamedTuple):
    """`levels` signed integers `[n, d]`, `scales` `[n, 1]`; `param` is the family's own."""

    levels: torch.Tensor
    scales: torch.Tensor
    param: int


def norm_scale(name: str, x: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    """`norm` `[n]` (float64) as the scales `[n, 1]` that are sent; raises NonFiniteError."""
    scales = at_least(norm, scale_dtype(x.dtype))[:, None]
    if bool((scales > torch.finfo(x.dtype).max).any()):
        raise NonFiniteError(f"{name}: the norm leaves the range of {x.dtype}")
    return scales


def relative(x: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """|x| / scale in float64, in [0, 1]; 0 where the scale is 0."""
    safe = torch.where(scales > 0, scales, 1).double()
    return x.abs().double().div_(safe).clamp_(max=1)


def split_scale(body: bytes, dtype: torch.dtype) -> tuple[torch.Tensor, bytes]:
    """The scale `[1, 1]` at the start of a body, and the rest."""
    kind = scale_dtype(dtype)
    return read_scales(body[: kind.itemsize], 1, kind)[None], body[kind.itemsize :]


class Levels(Coded[LevelCode]):
    """Body: the scale, then d symbols of a fixed number of bits. One block parameter."""

    n_params = 1

    def _params(self, code: LevelCode, numel: int) -> list[Params]:
        return [(code.param,)] * len(code.levels)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        low, high = cls._allowed()
        if not low <= params[0] <= high:
            raise wire.CorruptPayload(f"parameter {params[0]}, allowed: {low} to {high}")
        return scale_dtype(dtype).itemsize + wire.packed_bytes(numel, cls._width(params[0]))

    @classmethod
    @abstractmethod
    def _allowed(cls) -> tuple[int, int]:
        """Smallest and largest block parameter."""

    @classmethod
    @abstractmethod
    def _width(cls, param: int) -> int:
        """Bits of a symbol."""

    @classmethod
    @abstractmethod
    def _largest(cls, param: int) -> int:
        """The largest |level|: a symbol is level + this."""

    @classmethod
    def _pack(cls, code: LevelCode, params: Params) -> bytes:
        symbols = code.levels[0].cpu().numpy().astype(np.int32) + cls._largest(params[0])
        return value_bytes(code.scales[0]) + wire.pack_bits(symbols, cls._width(params[0]))

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> LevelCode:
        scales, rest = split_scale(body, dtype)
        largest = cls._largest(params[0])
        symbols = wire.unpack_bits(rest, numel, cls._width(params[0])).astype(np.int32)
        if symbols.max() > 2 * largest:
            raise wire.CorruptPayload(f"symbol {symbols.max()}, allowed: 0 to {2 * largest}")
        return LevelCode(torch.from_numpy(symbols - largest)[None], scales, params[0])
