"""Natural compression: random rounding of each element to a power of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import Contract, EncodedBlock, Params, register
from wiregrad.compressors.identity import value_bytes
from wiregrad.compressors.levels import check_status
from wiregrad.compressors.quantiser import Quantiser
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import Shape
from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports
from wiregrad.kernels.draws import BITS, WIDE_BITS, Generators, happens, keys_of


class _Format(NamedTuple):
    """The fields of a float type: bits of mantissa and exponent; the integer type of its size."""

    mantissa: int
    exponent: int
    integer: torch.dtype


_FORMATS = {
    torch.float64: _Format(52, 11, torch.int64),
    torch.float32: _Format(23, 8, torch.int32),
    torch.bfloat16: _Format(7, 8, torch.int16),
    torch.float16: _Format(10, 5, torch.int16),
}


class NaturalSymbols(NamedTuple):
    """Symbols `[n, d]` int16: the bits of the exponent field, above them the sign bit."""

    symbols: torch.Tensor
    width: int


@register("natural")
@dataclass(frozen=True, kw_only=True)
class Natural(Quantiser[NaturalSymbols]):
    """Rounds |x_j| to one of the two powers of two around it, without bias: α = 9/8.

    Exact integer arithmetic: a uniform draw is added to the mantissa, and the carry decides. What
    is sent is the sign and the exponent field: 9 bits for float32 and bfloat16, 12 for float64, 6
    for float16. Denormal numbers go to 0 or to the smallest normal number: still without bias, but
    α = 9/8 holds for normal numbers only. Elements above the largest power of two of the type
    raise NonFiniteError: they would have to be rounded to Inf.
    """

    codec = 10
    random = True
    source = "arXiv 1905.10988 (natural compression)"

    def contract(self, shape: Shape) -> Contract:
        return Contract("unbiased", 9 / 8)

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> NaturalSymbols:
        mantissa, exponent, integer = _FORMATS[x.dtype]
        bits = x.view(integer)
        size = bits & torch.iinfo(integer).max
        if bool((size > ((1 << exponent) - 2 << mantissa)).any()):
            raise NonFiniteError(f"{self.name}: element above the largest power of two")
        drawn = WIDE_BITS if x.dtype == torch.float64 else BITS
        chance = (size & ((1 << mantissa) - 1)).long() << (drawn - mantissa)
        powers = (size >> mantissa).to(torch.int16)
        powers += happens(chance, keys_of(generators, x.device), drawn)
        return NaturalSymbols(powers + ((bits < 0).to(torch.int16) << exponent), exponent + 1)

    @classmethod
    def _dequantise(cls, quantised: NaturalSymbols, out: torch.Tensor) -> None:
        mantissa, exponent, integer = _FORMATS[out.dtype]
        symbols = quantised.symbols.to(integer)
        size = (symbols & ((1 << exponent) - 1)) << mantissa
        values = size.view(out.dtype)
        torch.where(symbols >> exponent == 1, -values, values, out=out)

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        if not supports(e, g):
            return None
        rows, status = kernel.natural(e, g, keys_of(generators), subtract)
        if status == kernel.Status.RANGE:
            raise NonFiniteError(f"{self.name}: element above the largest power of two")
        check_status(self.name, status)
        return _NaturalBlock(rows)

    def _params(self, quantised: NaturalSymbols, numel: int) -> list[Params]:
        return [()] * len(quantised.symbols)

    @classmethod
    def _pack(cls, quantised: NaturalSymbols, params: Params) -> bytes:
        return wire.pack_bits(quantised.symbols[0].cpu().numpy(), quantised.width)

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> NaturalSymbols:
        width = _FORMATS[dtype].exponent + 1
        symbols = wire.unpack_bits(body, numel, width).astype(np.int16)
        return NaturalSymbols(torch.from_numpy(symbols)[None], width)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        return wire.packed_bytes(numel, _FORMATS[dtype].exponent + 1)


class _NaturalBlock(EncodedBlock):
    """float32 rows that a kernel has packed."""

    def __init__(self, rows: kernel.NaturalRows) -> None:
        self._rows = rows
        self.params = [()] * len(rows.packed)

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        if supports(out):
            taken = self._rows._replace(packed=self._rows.packed[rows])
            kernel.natural_apply(taken, out, kernel.Mode.WRITE)
            return
        for into, row in zip(out, range(len(self.params))[rows], strict=True):
            into.copy_(Natural._decode(self.body(row), self._rows.d, (), torch.float32))

    def body(self, row: int) -> bytes:
        return value_bytes(self._rows.packed[row])

    def add_to(self, total: torch.Tensor) -> None:
        if supports(total):
            kernel.natural_apply(self._rows, total, kernel.Mode.ADD)
        else:
            super().add_to(total)
