"""Conflict measures of sparse data: how far the components of a sum touch the same coordinates.

Components (rows, or the rows of a worker) i and j conflict where their supports meet. For vectors
v_i on these supports, ‖Σ v_i‖² ≤ σ Σ‖v_i‖² with σ any of

    ω, the largest number of components that share a coordinate;
    1 + Δ_max and √(m(1 + Δ_mean)), of the numbers of conflicts Δ_i of each component.

Derived: ω by Cauchy and Schwarz in each coordinate; the other two bound the largest eigenvalue of
the conflict graph's adjacency matrix plus I by its row sums and its Frobenius norm. Components that
share a coordinate all conflict, so ω is never above either of the other two (which are recalled as
the paper's, arXiv 1806.06573).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wiregrad.theory.asynchronous import Sum
from wiregrad.theory.constants import Matrix

_AT_ONCE = 1 << 24
"""Pairs of components that are looked at together, to bound the memory."""


@dataclass(frozen=True)
class Conflicts:
    """Supports of m components over d coordinates."""

    degrees: npt.NDArray[np.int64]
    """Δ_i `[m]`: the number of other components that component i shares a coordinate with."""
    overlap: int
    """ω."""

    @property
    def largest(self) -> int:
        """Δ_max."""
        return int(self.degrees.max(initial=0))

    @property
    def mean(self) -> float:
        """Δ_mean."""
        return float(self.degrees.mean()) if len(self.degrees) else 0.0

    @property
    def by_degrees(self) -> float:
        """min{1 + Δ_max, √(m(1 + Δ_mean))}: σ as the paper has it (recalled)."""
        m = len(self.degrees)
        return min(1 + self.largest, math.sqrt(m * (1 + self.mean)))


def overlap(components: Matrix) -> int:
    """ω of `components` `[m, d]`, whose nonzeros are the supports; does not look at pairs."""
    return int(_pattern(components).sum(axis=0).max(initial=0))


def conflicts(components: Matrix) -> Conflicts:
    """All measures of `components` `[m, d]`; looks at all pairs of different supports."""
    from scipy import sparse  # noqa: PLC0415 - slow, seldom used

    pattern = _pattern(components)
    supports = [row.tobytes() for row in np.split(pattern.indices, pattern.indptr[1:-1])]
    known = {support: place for place, support in enumerate(dict.fromkeys(supports))}
    kind = np.array([known[support] for support in supports])
    different, first, count = np.unique(kind, return_index=True, return_counts=True)
    distinct = pattern[first]
    transposed = distinct.T.tocsr()
    step = max(1, _AT_ONCE // len(different))
    met = np.empty(len(different), np.int64)
    for i in range(0, len(different), step):
        meets = distinct[i : i + step] @ transposed
        ones = sparse.csr_array(
            (np.ones_like(meets.data), meets.indices, meets.indptr), meets.shape
        )
        met[i : i + step] = ones @ count
    itself = np.diff(distinct.indptr) > 0  # an empty one does not meet itself
    return Conflicts((met - itself)[kind], overlap(components))


def of_workers(parts: Sequence[Matrix]) -> Conflicts:
    """Conflicts of the workers: a worker's support is the union of its rows' `[m_i, d]`."""
    touched = [np.asarray(_pattern(part).sum(axis=0) > 0, dtype=np.int64) for part in parts]
    return conflicts(np.stack(touched))


def smoothness(parts: Sequence[Matrix], curvature: float, mu: float, shift: float = 0.0) -> Sum:
    """Constants of Σ f_i from the rows' norms and conflicts alone, without eigenvalues.

    f_i(x) is the mean, over the rows a of worker i, of a loss of aᵀx, plus a regulariser. A row's
    part is curvature·‖a‖²-smooth on its support. Hence L_i ≤ curvature·ω_i max‖a‖²/m_i + shift with
    ω_i of the worker's rows, and L ≤ curvature·ω max(‖a‖²/m_i) + n·shift with ω of all rows.

    Args:
        parts: The rows `[m_i, d]` of each worker.
        curvature: A bound on the loss's second derivative.
        mu: Strong convexity of Σ f_i, known from elsewhere.
        shift: Smoothness of a worker's regulariser.
    """
    heaviest = [float(_squares(part).max(initial=0)) / part.shape[0] for part in parts]
    each = [
        curvature * overlap(part) * weight + shift
        for part, weight in zip(parts, heaviest, strict=True)
    ]
    shared = int(np.sum([_pattern(part).sum(axis=0) for part in parts], axis=0).max(initial=0))
    L = min(curvature * shared * max(heaviest) + len(parts) * shift, math.fsum(each))
    return Sum(each=tuple(each), L=L, mu=mu)


def _squares(part: Matrix) -> npt.NDArray[np.float64]:
    from scipy import sparse  # noqa: PLC0415 - slow, seldom used

    return np.asarray(sparse.csr_array(part).power(2).sum(axis=1), dtype=np.float64)


def _pattern(components: Matrix) -> Any:
    """0/1 in CSR, explicit zeros left out."""
    from scipy import sparse  # noqa: PLC0415 - slow, seldom used

    found = sparse.csr_array(components, dtype=np.float64, copy=True)
    found.eliminate_zeros()
    found.sort_indices()
    return sparse.csr_array(
        (np.ones_like(found.data, np.int64), found.indices, found.indptr), found.shape
    )
