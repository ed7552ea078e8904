"""Families that send one code for every element: both paths share quantiser and dequantiser."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import torch

from wiregrad.compressors.base import Compressor, Generators, Params
from wiregrad.layout import Shape

Code = TypeVar("Code")

_PASS = 1 << 18
"""Elements quantised at a time in a batch: bounds the temporaries of a round trip."""


class Coded(Compressor, Generic[Code]):
    """A compressor cut into quantise → code → dequantise, and pack/unpack of the code.

    A code holds the rows `[n, ...]` as tensors. `pack` and `unpack` see a single row, on the CPU.
    """

    @abstractmethod
    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> Code:
        """The code of the rows of `x` `[n, d]`, d > 0; must not write to `x`.

        Raises NonFiniteError when what is decoded would leave the range of x's type.
        """

    @classmethod
    @abstractmethod
    def _dequantise(cls, code: Code, out: torch.Tensor) -> None:
        """Write the vectors that the code stands for to `out` `[n, d]`.

        Bit for bit the same on every device and for every n.
        """

    @abstractmethod
    def _params(self, code: Code, numel: int) -> list[Params]:
        """The block parameters of each row."""

    @classmethod
    @abstractmethod
    def _pack(cls, code: Code, params: Params) -> bytes:
        """The body of a code of one row."""

    @classmethod
    @abstractmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> Code:
        """The code (one row, CPU) of a body of the right length; raises PayloadError."""

    def _roundtrip(
        self, x: torch.Tensor, out: torch.Tensor, generators: Generators, shape: Shape
    ) -> list[Params]:
        n, d = x.shape
        step = max(1, _PASS // d)
        params: list[Params] = []
        for start in range(0, n, step):
            rows = slice(start, start + step)
            drawing = None if generators is None else generators[rows]
            code = self._quantise(x[rows], drawing, shape)
            self._dequantise(code, out[rows])
            params += self._params(code, d)
        return params

    def _encode(
        self, x: torch.Tensor, generator: torch.Generator | None, shape: Shape
    ) -> tuple[Params, bytes]:
        code = self._quantise(x[None], None if generator is None else [generator], shape)
        params = self._params(code, x.numel())[0]
        return params, self._pack(code, params)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        out = torch.empty(1, numel, dtype=dtype)
        cls._dequantise(cls._unpack(body, numel, params, dtype), out)
        return out[0]
