"""Top-k: the k elements of largest absolute value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pydantic
import torch

from wiregrad import kernels
from wiregrad.compressors.base import Contract, EncodedBlock, register
from wiregrad.compressors.sparse import IndexBits, Ratio, Sparse, SparseBlock, SparseRow, resolve_k
from wiregrad.core.layout import Shape
from wiregrad.kernels import top_k as kernel
from wiregrad.kernels.draws import Generators


@register("top_k")
@dataclass(frozen=True, kw_only=True)
class TopK(Sparse):
    """Keeps the k largest |x_j|; δ = k/d.

    `select: exact` keeps exactly k, of equals those with the lower index. A `ratio` stands for
    k = max(1, ⌊ratio·d⌋) in each block. `select: quantile` is the rule of COMP-AMS's published
    scripts: all |x_j| strictly above the (1 − ρ)-quantile of |x| (linear interpolation), ρ =
    max(ratio, 1/d). The count then varies, ties may leave nothing (always so for d = 1), and
    nothing better than ‖C(x) − x‖ ≤ ‖x‖ holds.
    """

    codec = 2
    source = "arXiv 2205.05632 (COMP-AMS), Top-k; arXiv 1809.07599"

    k: pydantic.PositiveInt | None = None
    ratio: Ratio | None = None
    index_bits: IndexBits = "log"
    select: Literal["exact", "quantile"] = "exact"

    def __post_init__(self) -> None:
        resolve_k(self.k, self.ratio, 1)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [
            {"k": 3},
            {"ratio": 0.1},
            {"ratio": 0.3, "index_bits": 32},
            {"ratio": 0.2, "select": "quantile"},
        ]

    def contract(self, shape: Shape) -> Contract:
        d = math.prod(shape)
        if self.select == "quantile":
            return Contract("biased", 1.0)
        return Contract("contractive", resolve_k(self.k, self.ratio, d) / d)

    def _encode_fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> EncodedBlock | None:
        if self.select != "exact" or not kernels.supports(e, g):
            return None
        d = e.shape[-1]
        k = resolve_k(self.k, self.ratio, d)
        found, finite = kernel.select(e, g, k, subtract=subtract)
        if not finite:
            raise self.not_finite()
        rows = zip(found.indices, found.values, strict=True)
        return SparseBlock([SparseRow(i, v) for i, v in rows], self._width(d))

    def decode_rows(self, x: torch.Tensor) -> torch.Tensor | None:
        if self.select != "exact":
            return None
        return keep_largest(x, resolve_k(self.k, self.ratio, x.shape[-1]))

    def _select(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SparseBlock:
        size = x.abs()
        d = x.shape[-1]
        k = resolve_k(self.k, self.ratio, d)
        if self.select == "exact":
            found = [_largest(row, k) for row in size]
        else:
            share = max(k / d if self.ratio is None else self.ratio, 1 / d)
            found = [_above_quantile(row, 1 - share) for row in size]
        rows = [SparseRow(i, row[i]) for i, row in zip(found, x, strict=True)]
        return SparseBlock(rows, self._width(d))


def keep_largest(x: torch.Tensor, k: int) -> torch.Tensor:
    """`x` `[m, d]` with all but the k largest |x_j| of each row zeroed; of equals, the first stay.

    What exact Top-k decodes to, for many short rows at once.
    """
    d = x.shape[-1]
    if k >= d:
        return x.clone()
    size = x.abs()
    if k == 1:
        threshold = size.amax(-1, keepdim=True)
    elif size.device.type != "cpu":
        threshold = size.kthvalue(d - k + 1, -1, keepdim=True).values
    else:  # NumPy selects with vector instructions
        threshold = torch.from_numpy(np.partition(size.numpy(), d - k, -1)[:, d - k : d - k + 1])
    kept = size >= threshold
    tied = (kept.sum(-1) > k).nonzero()[:, 0]
    if len(tied):
        above = size[tied] > threshold[tied]
        equal = kept[tied] & ~above
        room = k - above.sum(-1, keepdim=True)
        kept[tied] = above | (equal & (equal.cumsum(-1) <= room))
    return torch.where(kept, x, 0.0)


def _largest(size: torch.Tensor, k: int) -> torch.Tensor:
    """Sorted indices of the k largest of `[d]`; of equals, those with the lower index."""
    threshold = _order_statistic(size, len(size) - k)
    found = _where(size >= threshold)
    if len(found) > k:
        above = size[found] > threshold
        ties = (~above).nonzero()[:, 0]
        above[ties[: k - int(above.sum())]] = True
        found = found[above]
    return found


def _above_quantile(size: torch.Tensor, q: float) -> torch.Tensor:
    """Sorted indices of the elements of `[d]` strictly above its q-quantile."""
    place = q * (len(size) - 1)
    low = math.floor(place)
    bottom = float(_order_statistic(size, low))
    top = float(_order_statistic(size, min(low + 1, len(size) - 1)))
    return _where(size.double() > bottom + (place - low) * (top - bottom))


def _where(mask: torch.Tensor) -> torch.Tensor:
    """Sorted indices at which `[d]` is true."""
    if mask.device.type != "cpu":
        return mask.nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(mask.numpy()))  # several times as fast as torch


def _order_statistic(values: torch.Tensor, rank: int) -> torch.Tensor:
    """The element of `[d]` that has this place, from 0, in increasing order."""
    if values.device.type != "cpu":
        return values.kthvalue(rank + 1).values
    # NumPy selects with vector instructions, about ten times as fast as torch on the CPU.
    wide = values if values.dtype == torch.float64 else values.float()
    return torch.from_numpy(np.partition(wide.numpy(), rank)[rank : rank + 1])[0].to(values.dtype)
