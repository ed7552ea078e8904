"""Ternary quantisation: the norm with a sign, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from wiregrad import wire
from wiregrad.compressors.base import Content, Contract, EncodedBlock, Params, register
from wiregrad.compressors.identity import value_bytes
from wiregrad.compressors.levels import (
    LevelBlock,
    SignedLevels,
    check_status,
    norm_scale,
    place,
    round_at_random,
    split_scale,
)
from wiregrad.compressors.quantiser import Quantiser
from wiregrad.compressors.reduce import max_abs, norm2, scale_dtype
from wiregrad.compressors.sparse import check_indices, read_indices
from wiregrad.core.layout import Shape
from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports
from wiregrad.kernels.draws import Generators, keys_of


@register("ternary")
@dataclass(frozen=True, kw_only=True)
class Ternary(Quantiser[SignedLevels]):
    """‖x‖·sgn(x_j) with probability |x_j|/‖x‖, else 0.

    norm l2: α = √d; norm max (TernGrad): α = (1 + √d)/2, the largest ‖x‖_∞‖x‖₁/‖x‖₂².
    Body: the scale, then 2 bits an element (dense), or the indices of the nonzeros and a sign bit
    for each (sparse); `auto` takes the shorter. Block parameters: bits of an index (0: dense), the
    number of nonzeros (dense: 0).
    """

    codec = 7
    n_params = 2
    random = True
    source = (
        "recalled from arXiv 1806.06573 (ternary); "
        "max: arXiv 1705.07878 (TernGrad), constant derived here"
    )

    norm: Literal["l2", "max"] = "l2"
    coding: Literal["auto", "dense", "sparse"] = "auto"

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{}, {"norm": "max"}, {"coding": "dense"}, {"coding": "sparse"}]

    def contract(self, shape: Shape) -> Contract:
        root = math.sqrt(math.prod(shape))
        return Contract("unbiased", root if self.norm == "l2" else (1 + root) / 2)

    def content(self, shape: Shape, params: Params) -> Content:
        d, (width, nonzeros) = math.prod(shape), params
        if width:
            return Content(numel=d, indices=nonzeros, signs=nonzeros, scales=1)
        return Content(numel=d, mask=d, signs=d, scales=1)

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SignedLevels:
        norm = norm2(x) if self.norm == "l2" else max_abs(x).double()
        scales = norm_scale(self.name, x, norm)
        levels = round_at_random(place(x, scales, 1), keys_of(generators, x.device))
        return SignedLevels(levels.copysign_(x).to(torch.int8), scales, 0)

    @classmethod
    def _dequantise(cls, quantised: SignedLevels, out: torch.Tensor) -> None:
        out.copy_(quantised.levels * quantised.scales)

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        if not supports(e, g):
            return None
        rows, status = kernel.quantise(
            e, g, keys_of(generators), kernel.Kind.TERNARY, 1, 2, self.norm == "max", subtract
        )
        check_status(self.name, status)
        return _TernaryBlock(type(self), rows, self._choose(rows.nonzeros, rows.d))

    def _params(self, quantised: SignedLevels, numel: int) -> list[Params]:
        return self._choose(quantised.levels.count_nonzero(dim=-1), numel)

    def _choose(self, nonzeros: torch.Tensor, numel: int) -> list[Params]:
        """The shorter coding of rows with so many nonzeros `[n]`, or the one that was asked for."""
        width = wire.index_width(numel)
        dense = wire.packed_bytes(numel, 2)
        params: list[Params] = []
        for nonzero in nonzeros.tolist():
            shorter = wire.packed_bytes(nonzero, width) + wire.packed_bytes(nonzero, 1) < dense
            sparse = self.coding == "sparse" or (self.coding == "auto" and shorter)
            params.append((width, nonzero) if sparse else (0, 0))
        return params

    @classmethod
    def _pack(cls, quantised: SignedLevels, params: Params) -> bytes:
        levels = quantised.levels[0].cpu().numpy()
        scale = value_bytes(quantised.scales[0])
        width, _ = params
        if not width:
            return scale + wire.pack_bits(levels % 3, 2)
        (indices,) = levels.nonzero()
        signs = wire.pack_bits(levels[indices] < 0, 1)
        return scale + wire.pack_bits(indices, width) + signs

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> SignedLevels:
        width, nonzero = params
        scales, rest = split_scale(body, dtype)
        if not width:
            symbols = wire.unpack_bits(rest, numel, 2)
            if symbols.max() > 2:
                raise wire.CorruptPayload("symbol 3, allowed: 0 to 2")
            levels = torch.from_numpy(np.array([0, 1, -1], dtype=np.int8)[symbols])
            return SignedLevels(levels[None], scales, 0)
        split = wire.packed_bytes(nonzero, width)
        indices = read_indices(rest[:split], nonzero, width, numel)
        negative = torch.from_numpy(wire.unpack_bits(rest[split:], nonzero, 1))
        levels = torch.zeros(numel, dtype=torch.int8)
        levels[indices] = 1 - 2 * negative.to(torch.int8)
        return SignedLevels(levels[None], scales, 0)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        width, nonzero = params
        scale = scale_dtype(dtype).itemsize
        if not width:
            if nonzero:
                raise wire.CorruptPayload("a dense ternary block with a number of nonzeros")
            return scale + wire.packed_bytes(numel, 2)
        check_indices(nonzero, width, numel)
        return scale + wire.packed_bytes(nonzero, width) + wire.packed_bytes(nonzero, 1)


class _TernaryBlock(LevelBlock):
    """Rows that a kernel has packed densely; a sparse body is made when it is sent."""

    def body(self, row: int) -> bytes:
        width, _ = self.params[row]
        if not width:
            return super().body(row)
        indices, negative = kernel.ternary_nonzeros(self._rows, row)
        return (
            value_bytes(self._rows.scales[row : row + 1])
            + wire.pack_bits(indices.numpy(), width)
            + wire.pack_bits(negative.numpy(), 1)
        )
