"""Rand-k: k elements drawn without replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pydantic
import torch

from wiregrad.compressors.base import Contract, EncodedBlock, register
from wiregrad.compressors.levels import check_status
from wiregrad.compressors.reduce import max_abs
from wiregrad.compressors.sparse import (
    IndexBits,
    Ratio,
    Sparse,
    SparseBlock,
    SparseRow,
    in_range,
    resolve_k,
)
from wiregrad.core.layout import Shape
from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports
from wiregrad.kernels.draws import Generators, keys_of, subsets


@register("rand_k")
@dataclass(frozen=True, kw_only=True)
class RandK(Sparse):
    """Keeps k elements drawn without replacement: contractive, δ = k/d.

    `scaled: true` multiplies them by d/k: unbiased, α = d/k. A `ratio` stands for
    k = max(1, ⌊ratio·d⌋) in each block.
    """

    codec = 3
    random = True
    source = "arXiv 1809.07599; scaled: constant derived here"

    k: pydantic.PositiveInt | None = None
    ratio: Ratio | None = None
    scaled: bool = False
    index_bits: IndexBits = "log"

    def __post_init__(self) -> None:
        resolve_k(self.k, self.ratio, 1)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"k": 3}, {"ratio": 0.2, "scaled": True}, {"ratio": 0.5, "index_bits": 32}]

    def contract(self, shape: Shape) -> Contract:
        d = math.prod(shape)
        k = resolve_k(self.k, self.ratio, d)
        return Contract("unbiased", d / k) if self.scaled else Contract("contractive", k / d)

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        if not supports(e, g):
            return None
        k, factor = self.size(e.shape[-1])
        found, status = kernel.rand_k(e, g, keys_of(generators), k, factor, subtract)
        check_status(self.name, status)
        kept = map(SparseRow, found.indices, found.values)
        return SparseBlock(list(kept), self._width(e.shape[-1]))

    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SparseBlock:
        d = x.shape[-1]
        k, factor = self.size(d)
        if self.scaled:
            in_range(self.name, max_abs(x).double() * factor, x.dtype)
        # The indices are drawn on the CPU whatever the device: the algorithm is sequential.
        indices = subsets(keys_of(generators), k, d).to(x.device)
        values = x.gather(-1, indices)
        if self.scaled:
            values = (values.double() * factor).to(x.dtype)
        return SparseBlock.of_equal_counts(indices, values, self._width(d))

    def size(self, d: int) -> tuple[int, float]:
        """How many of d elements are sent, and the factor that they are multiplied by."""
        k = resolve_k(self.k, self.ratio, d)
        return k, d / k if self.scaled else 1.0
