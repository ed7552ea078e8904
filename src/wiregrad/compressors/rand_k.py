"""Rand-k: k elements drawn without replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pydantic
import torch

from wiregrad.compressors.base import Contract, Generators, register
from wiregrad.compressors.random import of_rows
from wiregrad.compressors.reduce import max_abs
from wiregrad.compressors.sparse import (
    IndexBits,
    Ratio,
    Selection,
    Sparse,
    in_range,
    resolve_k,
)
from wiregrad.layout import Shape


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

    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> list[Selection]:
        d = x.shape[-1]
        k = resolve_k(self.k, self.ratio, d)
        if self.scaled:
            in_range(self.name, max_abs(x).double() * (d / k), x.dtype)
        found = []
        for row, generator in zip(x, of_rows(generators), strict=True):
            indices = torch.randperm(d, generator=generator, device=x.device)[:k].sort().values
            values = row[indices]
            if self.scaled:
                values = (values.double() * (d / k)).to(x.dtype)
            found.append(Selection(indices, values))
        return found
