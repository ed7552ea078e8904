"""Families that send one symbol for every element."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch

from wiregrad.compressors.base import Compressor, EncodedBlock, Params
from wiregrad.compressors.encoded_block import passes, stack_blocks
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators

T = TypeVar("T", bound=tuple[Any, ...])


class Quantiser(Compressor, Generic[T]):
    """A compressor in four steps: quantise and pack at the sender, unpack and dequantise after.

    Quantised rows are a named tuple T: its tensors hold the rows, `[n, ...]`, the other fields are
    common to all of them. `_pack` and `_unpack` see a single row, on the CPU. A simulation skips
    both, so that it and the wire share quantiser and dequantiser.
    """

    @abstractmethod
    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> T:
        """The rows of `x` `[n, d]`, d > 0, quantised; must not write to `x`.

        Raises NonFiniteError when what is decoded would leave the range of x's type.
        """

    @classmethod
    @abstractmethod
    def _dequantise(cls, quantised: T, out: torch.Tensor) -> None:
        """Write the vectors that the quantised rows stand for to `out` `[n, d]`.

        Bit for bit the same on every device and for every n.
        """

    @abstractmethod
    def _params(self, quantised: T, numel: int) -> list[Params]:
        """The block parameters of each row."""

    @classmethod
    @abstractmethod
    def _pack(cls, quantised: T, params: Params) -> bytes:
        """The body of one quantised row."""

    @classmethod
    @abstractmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> T:
        """The quantised row (CPU) in a body of the right length; raises PayloadError."""

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        fused = self._encode_fused(x, None, generators, subtract=False)
        if fused is not None:
            return fused
        blocks: list[EncodedBlock] = []
        for rows in passes(*x.shape):
            drawing = None if generators is None else generators[rows]
            quantised = self._quantise(x[rows], drawing, shape)
            params = self._params(quantised, x.shape[-1])
            blocks.append(QuantisedBlock(type(self), quantised, params))
        return stack_blocks(blocks)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        out = torch.empty(1, numel, dtype=dtype)
        cls._dequantise(cls._unpack(body, numel, params, dtype), out)
        return out[0]


class QuantisedBlock(EncodedBlock, Generic[T]):
    """Quantised rows of a family, and no more."""

    def __init__(self, family: type[Quantiser[T]], quantised: T, params: list[Params]) -> None:
        self._family, self._quantised, self.params = family, quantised, params

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        self._family._dequantise(_some_rows(self._quantised, rows), out)

    def body(self, row: int) -> bytes:
        one = _some_rows(self._quantised, slice(row, row + 1))
        return self._family._pack(one, self.params[row])


def _some_rows(quantised: T, rows: slice) -> T:
    fields = (f[rows] if isinstance(f, torch.Tensor) else f for f in quantised)
    return type(quantised)(*fields)
