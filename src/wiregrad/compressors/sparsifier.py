"""The gradient sparsifier: every element is kept at random, independently of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import torch

from wiregrad.compressors.base import Contract, EncodedBlock, register
from wiregrad.compressors.levels import check_status
from wiregrad.compressors.sparse import IndexBits, Ratio, Sparse, SparseBlock, SparseRow, in_range
from wiregrad.core.layout import Shape
from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports
from wiregrad.kernels.draws import BITS, WIDE_BITS, Generators, happens, keys_of

_PASS = 1 << 18
"""Elements drawn at a time: bounds the temporaries."""


Given = Annotated[tuple[Ratio, ...], pydantic.Field(min_length=1)]


@register("sparsifier")
@dataclass(frozen=True, kw_only=True)
class Sparsifier(Sparse):
    """v_j/p_j with probability p_j, else 0. Unbiased, E‖Q(v)‖² = Σ v_j²/p_j.

    uniform: p_j = ratio, so α = 1/ratio. optimal: p_j = min(1, λ|v_j|), of all probabilities with
    the sum ratio·d those of least variance, so the same α; where fewer elements than that are
    nonzero, all of these are sent. A list: the p_j, repeated along each block; α = 1/min p.
    """

    codec = 8
    random = True
    source = (
        "recalled from arXiv 1806.06573 (gradient sparsifier, α = 1/min p); "
        "optimal: arXiv 1710.09854, α derived here"
    )

    ratio: Ratio | None = None
    """Expected share of the elements; none where probabilities are given."""
    probabilities: Literal["uniform", "optimal"] | Given = "uniform"
    index_bits: IndexBits = "log"

    def __post_init__(self) -> None:
        if isinstance(self.probabilities, str) == (self.ratio is None):
            raise ValueError(".ratio: allowed, and required, unless probabilities are a list")

    @property
    def share(self) -> float:
        """Expected share of the elements that are sent, where none is 0."""
        if isinstance(self.probabilities, str):
            return self.ratio or 0.0  # it is there, see above
        return math.fsum(self.probabilities) / len(self.probabilities)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [
            {"ratio": 0.25},
            {"ratio": 0.3, "probabilities": "optimal"},
            {"ratio": 1.0, "index_bits": 32},
            {"probabilities": (0.1, 0.5, 1.0)},
        ]

    def contract(self, shape: Shape) -> Contract:
        given = self.probabilities
        return Contract("unbiased", 1 / (self.share if isinstance(given, str) else min(given)))

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        if self.probabilities != "uniform" or not supports(e, g):
            return None
        chance = math.ceil(self.share * (1 << BITS))
        found, status = kernel.sparsify(e, g, keys_of(generators), chance, subtract)
        check_status(self.name, status)
        kept = map(SparseRow, found.indices, found.values)
        return SparseBlock(list(kept), self._width(e.shape[-1]))

    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SparseBlock:
        # A chance of as many bits as the draw, rounded up; what is sent is divided by it.
        bits = WIDE_BITS if x.dtype == torch.float64 else BITS
        keys = keys_of(generators, x.device)
        found = []
        step = max(1, _PASS // x.shape[-1])
        for rows, some in zip(torch.split(x, step), torch.split(keys, step), strict=True):
            chance = self._probabilities(rows).mul_(2.0**bits).ceil_()
            sent = torch.where(chance > 0, rows.double() / (chance * 2.0**-bits), 0.0)
            in_range(self.name, sent, x.dtype)
            kept = happens(chance.long(), some, bits)
            for row, mine in zip(sent, kept, strict=True):
                indices = mine.nonzero()[:, 0]
                found.append(SparseRow(indices, row[indices].to(x.dtype)))
        return SparseBlock(found, self._width(x.shape[-1]))

    def _probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """p_j of the rows `[n, d]`, float64."""
        if self.probabilities == "uniform":
            return torch.full_like(x, self.share, dtype=torch.float64)
        if self.probabilities == "optimal":
            return torch.stack([_optimal(row.double(), self.share * len(row)) for row in x])
        d, given = x.shape[-1], torch.tensor(self.probabilities, dtype=torch.float64)
        return given.repeat(-(-d // len(given)))[:d].to(x.device).repeat(len(x), 1)


def _optimal(v: torch.Tensor, budget: float) -> torch.Tensor:
    """p_j = min(1, λ|v_j|) `[d]` with Σ p = min(budget, number of nonzeros)."""
    size = v.abs()
    size /= size.max().clamp_min(torch.finfo(torch.float64).tiny)
    falling = size.sort(descending=True).values
    rest = falling.flip(0).cumsum(0).flip(0)
    # With the j largest at p = 1, λ = (budget − j)/(sum of the rest); the first j that leaves every
    # other probability at most 1 is the one, and there is one: the last j < budget does.
    left = budget - torch.arange(len(v), dtype=torch.float64, device=v.device)
    j = int((left * falling <= rest).nonzero()[0])
    if float(rest[j]) == 0:
        return (size > 0).double()
    return (size * (left[j] / rest[j])).clamp_(max=1)
