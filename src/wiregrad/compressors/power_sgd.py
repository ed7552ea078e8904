"""PowerSGD: a matrix of low rank from one step of power iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pydantic
import torch

from wiregrad import wire
from wiregrad.compressors.base import Compressor, Contract, EncodedBlock, Params, register
from wiregrad.compressors.identity import DenseBlock, value_bytes, values_from
from wiregrad.compressors.reduce import exponent, times_power
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import BlockKind, Shape
from wiregrad.kernels.draws import Generators, of_rows


@register("powersgd")
@dataclass(frozen=True, kw_only=True)
class PowerSGD(Compressor):
    """C(M) = P Pᵀ M, P `[a, r]` an orthonormal basis of M S, S `[b, r]` Gaussian, a ≥ b.

    A tensor is the matrix of its first dimension by the rest; a vector is filled row by row into a
    nearly square matrix, padded with zeros. P and Q = Mᵀ P are sent; the smaller side of M is the
    random one. Contractive: P spans M Ŝ for a uniformly random r-dimensional basis Ŝ, so
    E‖PᵀM‖² ≥ E‖M Ŝ‖² = (r/b)‖M‖², and δ = r/b. Where P and Q would be no smaller than M, M itself
    is sent. This is the form without warm start: S is drawn anew for every message.

    P and Q come from BLAS and LAPACK in float64, row by row: they do not depend on the batch, but
    their last bit may on the number of threads and the device. What is decoded from them does not.
    """

    codec = 13
    n_params = 2
    random = True
    default_blocks: ClassVar[BlockKind] = "per_tensor"
    source = "arXiv 1905.13727 (PowerSGD), Algorithm 1; constant derived here"

    rank: pydantic.PositiveInt = 1

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"rank": 1}, {"rank": 2}]

    def contract(self, shape: Shape) -> Contract:
        rows, cols = _matrix(shape)
        if self._dense(shape):
            return Contract("contractive", 1.0)
        return Contract("contractive", self.rank / min(rows, cols))

    def _dense(self, shape: Shape) -> bool:
        return self.rank * sum(_matrix(shape)) >= math.prod(shape)

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        if self._dense(shape):
            return DenseBlock(x, [(0, 0)] * len(x))
        factors = [
            self._factors(row, generator, shape)
            for row, generator in zip(x, of_rows(generators), strict=True)
        ]
        return FactorBlock(factors, [(self.rank, _matrix(shape)[0])] * len(x))

    def _factors(
        self, x: torch.Tensor, generator: torch.Generator, shape: Shape
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The left `[rows, r]` and right `[cols, r]` factor, in x's type."""
        rows, cols = _matrix(shape)
        power = exponent(x[None])
        matrix = x.new_zeros(rows * cols, dtype=torch.float64)
        matrix[: x.numel()] = times_power(x, -power)
        matrix = matrix.view(rows, cols)
        tall = matrix if rows >= cols else matrix.mT
        start = torch.randn(
            tall.shape[1], self.rank, generator=generator, dtype=torch.float64, device=x.device
        )
        p = torch.linalg.qr(tall @ start).Q.to(x.dtype)
        q = times_power(tall.mT @ p.double(), power).to(x.dtype)
        # No element of the product exceeds this, its rounding included.
        bound = (p.abs().amax(0).double() * q.abs().amax(0).double()).sum() * 1.01
        if not float(bound) <= torch.finfo(x.dtype).max:
            raise NonFiniteError(f"{self.name}: the factors leave the range of {x.dtype}")
        return (p, q) if rows >= cols else (q, p)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        rank, rows = params
        if not rank:
            return values_from(body, numel, dtype)
        factors = values_from(body, len(body) // dtype.itemsize, dtype).view(-1, rank)
        return _product(factors[:rows], factors[rows:], numel)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        rank, rows = params
        if not rank and not rows:
            return numel * dtype.itemsize
        if not 1 <= rows <= numel or not 1 <= rank * (rows + -(-numel // rows)) < numel:
            raise wire.CorruptPayload(f"rank {rank} with {rows} rows for {numel} elements")
        return rank * (rows + -(-numel // rows)) * dtype.itemsize


class FactorBlock(EncodedBlock):
    """The left and the right factor of each row."""

    def __init__(
        self, factors: list[tuple[torch.Tensor, torch.Tensor]], params: list[Params]
    ) -> None:
        self._factors, self.params = factors, params

    def decode(self, rows: slice, out: torch.Tensor) -> None:
        for row, (p, q) in zip(out, self._factors[rows], strict=True):
            row.copy_(_product(p, q, len(row)))

    def body(self, row: int) -> bytes:
        p, q = self._factors[row]
        return value_bytes(p.flatten()) + value_bytes(q.flatten())


def _matrix(shape: Shape) -> tuple[int, int]:
    """Rows and columns of the matrix that a tensor is seen as; rows·cols ≥ its elements."""
    numel = math.prod(shape)
    rows = shape[0] if len(shape) > 1 else math.isqrt(numel - 1) + 1
    return rows, -(-numel // rows)


def _product(p: torch.Tensor, q: torch.Tensor, numel: int) -> torch.Tensor:
    """The first `numel` elements of P Qᵀ, rank by rank: the same bits on every device."""
    wide = torch.float64 if p.dtype == torch.float64 else torch.float32
    p, q = p.to(wide), q.to(wide)
    total = p[:, :1] * q[:, 0]
    for r in range(1, p.shape[1]):
        total += p[:, r : r + 1] * q[:, r]
    return total.flatten()[:numel]
