"""Quantisers that send one scale and a small integer level for every element."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import Content, EncodedBlock, Params
from wiregrad.compressors.identity import value_bytes
from wiregrad.compressors.quantiser import Quantiser
from wiregrad.compressors.reduce import at_least, scale_dtype
from wiregrad.compressors.sign import read_scales
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import Shape
from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports
from wiregrad.kernels.draws import BITS, WIDE_BITS, Generators, happens, keys_of


class SignedLevels(NamedTuple):
    """Quantised rows: signed integer `levels` `[n, d]` of `scales` `[n, 1]`.

    `param`: the block parameter of the family.
    """

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


def place(x: torch.Tensor, scales: torch.Tensor, s: int) -> torch.Tensor:
    """|x|·s/scale in [0, s], where |x| ≤ scale; 0 where the scale is 0.

    float64 for float64 vectors, else float32. To get the same bits on every device, |x| is
    multiplied by a power of two that brings the scale into [1/2, 1), and then by the remaining
    factor. That factor is rounded up, so that the largest element is not rounded below s; the
    result is too large by a factor of at most 1 + 2⁻²².
    """
    if x.dtype == torch.float64:
        return relative(x, scales).mul_(s)
    wide = scales.double()
    lift = torch.exp2(torch.frexp(wide)[1].double().neg().clamp(-126, 126))
    factor = at_least(s / torch.where(wide > 0, wide * lift, 1), torch.float32)
    lift = torch.where(wide > 0, lift, 0).float()
    return x.float().abs().mul_(lift).mul_(factor).clamp_(max=s)


def round_at_random(place: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Round each place `[n, d]` at random to the integer below or above, without bias.

    But the chance of the upper integer is cut to the bits of a draw, so that it may be too small by
    2⁻³¹, or 2⁻⁶² for float64. `place` is overwritten.
    """
    below = place.floor()
    place -= below
    if place.dtype == torch.float64:
        return below.add_(happens(place.mul_(2.0**WIDE_BITS).long(), keys, WIDE_BITS))
    return below.add_(happens(place.mul_(2.0**BITS).int(), keys))


def level_values(levels: torch.Tensor, scales: torch.Tensor, s: int, out: torch.Tensor) -> None:
    """Write levels·scale/s to `out` `[n, d]`; the level s is the scale itself, in every type.

    For types narrower than float64, scale/s is split into two float32 numbers. The first has nine
    bits, so that its product with a level is exact; the result errs by at most half a unit in the
    last place, and 2⁻⁸ of one.
    """
    if out.dtype == torch.float64:
        # The quotient is at most 1, so that no rounding passes the scale.
        out.copy_((levels.double() / s).mul_(scales))
        return
    unit = scales.double() / s
    coarse = (unit.float().view(torch.int32) & ~0x7FFF).view(torch.float32)
    fine = (unit - coarse.double()).float()
    whole = levels.float()
    out.copy_((whole * coarse).add_(whole.mul_(fine)))


def split_scale(body: bytes, dtype: torch.dtype) -> tuple[torch.Tensor, bytes]:
    """The scale `[1, 1]` at the start of a body, and the rest."""
    kind = scale_dtype(dtype)
    return read_scales(body[: kind.itemsize], 1, kind)[None], body[kind.itemsize :]


class Packing(NamedTuple):
    """The arguments of `kernels.stochastic.quantise` for a family, and its block parameter."""

    kind: kernel.Kind
    s: int
    width: int
    largest: bool
    param: int


class LevelBlock(EncodedBlock):
    """Quantised rows that a kernel has packed."""

    def __init__(
        self, family: type[Quantiser[Any]], rows: kernel.LevelRows, params: list[Params]
    ) -> None:
        self._family, self._rows, self.params = family, rows, params

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        if supports(out):
            taken = self._rows._replace(
                scales=self._rows.scales[rows],
                packed=self._rows.packed[rows],
                nonzeros=self._rows.nonzeros[rows],
            )
            kernel.apply(taken, out, kernel.Mode.WRITE)
            return
        for into, row in zip(out, range(len(self.params))[rows], strict=True):
            body = self.body(row)
            into.copy_(self._family._decode(body, self._rows.d, self.params[row], into.dtype))

    def body(self, row: int) -> bytes:
        return value_bytes(self._rows.scales[row : row + 1]) + value_bytes(self._rows.packed[row])

    def subtract_from(self, x: torch.Tensor) -> None:
        if supports(x):
            kernel.apply(self._rows, x, kernel.Mode.SUBTRACT)
        else:
            super().subtract_from(x)

    def add_to(self, total: torch.Tensor) -> None:
        if supports(total):
            kernel.apply(self._rows, total, kernel.Mode.ADD)
        else:
            super().add_to(total)


def check_status(name: str, status: kernel.Status) -> None:
    """Raises NonFiniteError unless the kernel could encode the rows."""
    if status == kernel.Status.NOT_FINITE:
        raise NonFiniteError(f"{name}: NaN or Inf in the vector to compress")
    if status == kernel.Status.RANGE:
        raise NonFiniteError(f"{name}: a scale or element leaves the range of torch.float32")


class Levels(Quantiser[SignedLevels]):
    """Body: the scale, then d symbols of a fixed number of bits. One block parameter."""

    n_params = 1

    @abstractmethod
    def packing(self) -> Packing:
        """How a kernel packs the rows."""

    def _packed(self, rows: kernel.LevelRows) -> LevelBlock:
        """The rows that a kernel has packed, as an encoded block."""
        param = self.packing().param
        return LevelBlock(type(self), rows, [(param,)] * len(rows.packed))

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        how = self.packing()
        if how.width > 8 or not supports(e, g):
            return None
        keys = keys_of(generators) if self.random else None
        rows, status = kernel.quantise(
            e, g, keys, how.kind, how.s, how.width, how.largest, subtract
        )
        check_status(self.name, status)
        return self._packed(rows)

    def _params(self, quantised: SignedLevels, numel: int) -> list[Params]:
        return [(quantised.param,)] * len(quantised.levels)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        low, high = cls._allowed()
        if not low <= params[0] <= high:
            raise wire.CorruptPayload(f"parameter {params[0]}, allowed: {low} to {high}")
        return scale_dtype(dtype).itemsize + wire.packed_bytes(numel, cls._width(params[0]))

    def content(self, shape: Shape, params: Params) -> Content:
        d = math.prod(shape)
        return Content(numel=d, symbols=d, symbol_bits=self._width(params[0]), scales=1)

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
    def _pack(cls, quantised: SignedLevels, params: Params) -> bytes:
        symbols = quantised.levels[0].cpu().numpy().astype(np.int32) + cls._largest(params[0])
        return value_bytes(quantised.scales[0]) + wire.pack_bits(symbols, cls._width(params[0]))

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> SignedLevels:
        scales, rest = split_scale(body, dtype)
        largest = cls._largest(params[0])
        symbols = wire.unpack_bits(rest, numel, cls._width(params[0])).astype(np.int32)
        if symbols.max() > 2 * largest:
            raise wire.CorruptPayload(f"symbol {symbols.max()}, allowed: 0 to {2 * largest}")
        return SignedLevels(torch.from_numpy(symbols - largest)[None], scales, params[0])
