"""Families that send one code for every element: both paths share quantiser and dequantiser."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch

from wiregrad.compressors.base import Code, Compressor, Params
from wiregrad.compressors.code import passes, stacked
from wiregrad.core.layout import Shape
from wiregrad.kernels.draws import Generators

T = TypeVar("T", bound=tuple[Any, ...])


class Coded(Compressor, Generic[T]):
    """A compressor cut into quantise → code → dequantise, and pack/unpack of the code.

    A code is a named tuple: its tensors hold the rows, `[n, ...]`, the rest is common to them.
    `pack` and `unpack` see a single row, on the CPU.
    """

    @abstractmethod
    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> T:
        """The code of the rows of `x` `[n, d]`, d > 0; must not write to `x`.

        Raises NonFiniteError when what is decoded would leave the range of x's type.
        """

    @classmethod
    @abstractmethod
    def _dequantise(cls, code: T, out: torch.Tensor) -> None:
        """Write the vectors that the code stands for to `out` `[n, d]`.

        Bit for bit the same on every device and for every n.
        """

    @abstractmethod
    def _params(self, code: T, numel: int) -> list[Params]:
        """The block parameters of each row."""

    @classmethod
    @abstractmethod
    def _pack(cls, code: T, params: Params) -> bytes:
        """The body of a code of one row."""

    @classmethod
    @abstractmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> T:
        """The code (one row, CPU) of a body of the right length; raises PayloadError."""

    def code(self, x: torch.Tensor, generators: Generators, shape: Shape) -> Code:
        found = self._fused(x, None, generators, subtract=False)
        if found is not None:
            return found
        codes: list[Code] = []
        for rows in passes(*x.shape):
            drawing = None if generators is None else generators[rows]
            code = self._quantise(x[rows], drawing, shape)
            codes.append(CodedRows(type(self), code, self._params(code, x.shape[-1])))
        return stacked(codes)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        out = torch.empty(1, numel, dtype=dtype)
        cls._dequantise(cls._unpack(body, numel, params, dtype), out)
        return out[0]


class CodedRows(Code, Generic[T]):
    """The rows of a coded family: its code, and no more."""

    def __init__(self, family: type[Coded[T]], code: T, params: list[Params]) -> None:
        self._family, self._code, self.params = family, code, params

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        self._family._dequantise(_taken(self._code, rows), out)

    def body(self, row: int) -> bytes:
        return self._family._pack(_taken(self._code, slice(row, row + 1)), self.params[row])


def _taken(code: T, rows: slice) -> T:
    fields = (f[rows] if isinstance(f, torch.Tensor) else f for f in code)
    return type(code)(*fields)
