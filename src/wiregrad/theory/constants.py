"""L_i, L₋, L₊ and μ of the convex problems: exact eigenvalues, or Lanczos with a certificate.

A problem enters as the Hessians of its workers' f_i, or as bounds on them:

    ∇²f_i(x) ≼ c A_iᵀA_i / m_i + s I,    A_i `[m_i, d]` the rows of worker i.

logistic, ℓ2: c = 1/4, s = λ; logistic, nonconvex regulariser: c = 1/4, s = 2λ (the largest
second derivative of x²/(1 + x²) is 2); least squares ‖A_i x − b_i‖²/(2m_i): c = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Matrix(Protocol):
    """A NumPy array or a SciPy sparse array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns."""

    @property
    def T(self) -> Any:  # noqa: N802 - theirs
        """The transpose."""

    def __matmul__(self, other: Any, /) -> Any:
        """The product."""


DENSE_UP_TO = 2000
"""Dimension d up to which a Hessian `[d, d]` is formed and its eigenvalues are exact."""

_MOSTLY = 0.5
"""Share of elements stored above which a sparse matrix is multiplied as a dense one."""


@dataclass(frozen=True)
class Eigenvalue:
    """An eigenvalue of a symmetric matrix H, with the residual as its error bound.

    For a symmetric H some eigenvalue lies within `residual` of `value`. That it is the extreme one
    is certain if H was decomposed; if Lanczos found it from a random start, it holds with
    probability 1.
    """

    value: float
    residual: float
    """‖Hv − value·v‖, v the unit eigenvector that was found."""
    exact: bool
    """Whether H was decomposed; else Lanczos found the value."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of f = mean f_i that theorems ask for."""

    each: tuple[float, ...]
    """L_i, the smoothness of each f_i."""
    minus: float
    """L₋, that of f."""
    mu: float | None = None
    """Strong convexity or PL constant of f; None if it has none, or none is known."""
    certificate: tuple[Eigenvalue, ...] = field(default=(), repr=False)
    """The eigenvalues behind L₋, the L_i and μ, in this order."""

    @property
    def plus(self) -> float:
        """L₊ = √(mean L_i²)."""
        return math.sqrt(math.fsum(L * L for L in self.each) / len(self.each))

    @property
    def largest(self) -> float:
        """Max L_i."""
        return max(self.each)

    @property
    def residual(self) -> float:
        """The largest residual behind these numbers: how far off any of them can be."""
        return max((found.residual for found in self.certificate), default=0.0)


def logistic(
    parts: Sequence[Matrix], lam: float, regulariser: str, *, dense_up_to: int = DENSE_UP_TO
) -> Constants:
    """Constants of logistic regression, f_i = mean log(1 + exp(−y aᵀx)) + λ r(x).

    The second derivative of log(1 + exp(·)) is 1/4 at most. Raises ValueError for an unknown
    regulariser. Source: arXiv 2106.05203 and 2202.00998, experiments.

    Args:
        parts: The rows a `[m_i, d]` of each worker; multiplied by their labels ±1 or not.
        lam: λ.
        regulariser: ``nonconvex``: r = Σ x²/(1 + x²), which adds 2λ, and there is no μ; ``l2``:
            r = ‖x‖²/2, μ = λ; ``none``: r = 0.
        dense_up_to: Up to this dimension eigenvalues are exact.
    """
    shift = {"nonconvex": 2 * lam, "l2": lam, "none": 0.0}
    if regulariser not in shift:
        raise ValueError(f"regulariser {regulariser!r}, allowed: {', '.join(shift)}")
    minus, each = _largest(parts, 0.25, dense_up_to)
    return Constants(
        each=tuple(found.value + shift[regulariser] for found in each),
        minus=minus.value + shift[regulariser],
        mu=lam if regulariser == "l2" and lam > 0 else None,
        certificate=(minus, *each),
    )


def least_squares(
    parts: Sequence[Matrix], lam: float = 0.0, *, dense_up_to: int = DENSE_UP_TO
) -> Constants:
    """Constants of f_i = ‖A_i x − b_i‖²/(2m_i) + λ‖x‖²/2, A_i `[m_i, d]`; λ is `lam`.

    f is PL with μ the smallest eigenvalue of its Hessian that is not zero, to rounding, plus λ
    (of all eigenvalues where λ > 0). Above `dense_up_to` dimensions μ is λ, or None.
    """
    minus, each = _largest(parts, 1.0, dense_up_to)
    certificate = (minus, *each)
    mu = lam if lam > 0 else None
    if parts[0].shape[1] <= dense_up_to:
        smallest = _smallest(_mean_gram(parts), nonzero=lam == 0)
        mu, certificate = smallest.value + lam, (*certificate, smallest)
    return Constants(
        each=tuple(found.value + lam for found in each),
        minus=minus.value + lam,
        mu=mu,
        certificate=certificate,
    )


def quadratics(hessians: Sequence[Array] | Array, *, mean: Array | None = None) -> Constants:
    """Constants of f_i = xᵀH_i x/2 − b_iᵀx by the eigenvalues of the symmetric H_i `[n, d, d]`.

    L_i is the largest |eigenvalue|, as the H_i of 3PC may be indefinite. `mean` is that of the H_i,
    if it is at hand.
    """
    total = np.mean(np.asarray(hessians), axis=0) if mean is None else mean
    each = [_extreme(np.asarray(h)) for h in hessians]
    minus, low = _extreme(total), _smallest(total, nonzero=False)
    return Constants(
        each=tuple(found.value for found in each),
        minus=minus.value,
        mu=low.value if low.value > low.residual else None,
        certificate=(minus, *each, low),
    )


def tridiagonal_quadratics(scales: Sequence[float], shift: float, d: int) -> Constants:
    """Constants of f_i = xᵀA_i x/2 − b_iᵀx, A_i = (scale_i/4)·tridiag(−1, 2, −1) + shift·I.

    The eigenvalues of tridiag(−1, 2, −1) `[d, d]` are 2 − 2cos(kπ/(d + 1)), k = 1..d. The shift of
    3PC's quadratics is λ − λ_min of the mean, so that μ = λ.
    Source: arXiv 2202.00998, appendix on quadratics.
    """
    low, high = (2 - 2 * math.cos(k * math.pi / (d + 1)) for k in (1, d))
    ends = [(scale / 4 * low + shift, scale / 4 * high + shift) for scale in scales]
    mean = math.fsum(scales) / len(scales)
    bottom, top = mean / 4 * low + shift, mean / 4 * high + shift
    mu = min(bottom, top)
    return Constants(
        each=tuple(max(abs(a), abs(b)) for a, b in ends),
        minus=max(abs(bottom), abs(top)),
        mu=mu if mu > 0 else None,
    )


def largest_eigenvalue(
    rows: Sequence[Matrix], weights: Sequence[float], *, dense_up_to: int = DENSE_UP_TO
) -> Eigenvalue:
    """λ_max of Σ w_i A_iᵀA_i, by decomposition up to `dense_up_to` dimensions, else by Lanczos."""
    d = rows[0].shape[1]
    if d <= dense_up_to:
        total = np.zeros((d, d))
        for matrix, weight in zip(rows, weights, strict=True):
            total += weight * _gram(matrix)
        return _extreme(total)

    from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: PLC0415 - slow, seldom used

    def multiply(v: Array) -> Array:
        pairs = zip(rows, weights, strict=True)
        product: Array = np.sum([w * (a.T @ (a @ v)) for a, w in pairs], axis=0)
        return product

    start = np.random.default_rng(0).normal(size=d)
    operator = LinearOperator((d, d), matvec=multiply, dtype=np.float64)
    (value,), vectors = eigsh(operator, k=1, which="LA", v0=start, tol=0)
    v = vectors[:, 0]
    return Eigenvalue(float(value), float(np.linalg.norm(multiply(v) - value * v)), exact=False)


def _largest(
    parts: Sequence[Matrix], factor: float, dense_up_to: int
) -> tuple[Eigenvalue, list[Eigenvalue]]:
    """λ_max of the mean of factor·A_iᵀA_i/m_i, and of each."""
    weights = [factor / part.shape[0] for part in parts]
    mean = [weight / len(parts) for weight in weights]
    each = [
        largest_eigenvalue([part], [weight], dense_up_to=dense_up_to)
        for part, weight in zip(parts, weights, strict=True)
    ]
    return largest_eigenvalue(parts, mean, dense_up_to=dense_up_to), each


def _gram(matrix: Matrix) -> Array:
    stored = getattr(matrix, "nnz", None)
    if stored is not None and stored > _MOSTLY * math.prod(matrix.shape):
        matrix = _dense(matrix)  # sparse products are slow there
    return _dense(matrix.T @ matrix)


def _dense(matrix: Any) -> Array:
    dense: Array = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return dense


def _mean_gram(parts: Sequence[Matrix]) -> Array:
    total: Array = np.mean([_gram(part) / part.shape[0] for part in parts], axis=0)
    return total


def _extreme(matrix: Array) -> Eigenvalue:
    """The eigenvalue of the largest magnitude, as its magnitude."""
    values, vectors = np.linalg.eigh(matrix)
    return _certified(matrix, values, vectors, int(np.abs(values).argmax()), magnitude=True)


def _smallest(matrix: Array, *, nonzero: bool) -> Eigenvalue:
    """The smallest eigenvalue, or the smallest of those above rounding error."""
    values, vectors = np.linalg.eigh(matrix)
    floor = len(values) * np.finfo(float).eps * abs(values).max() if nonzero else -np.inf
    return _certified(matrix, values, vectors, int((values > floor).argmax()))


def _certified(
    matrix: Array, values: Array, vectors: Array, place: int, *, magnitude: bool = False
) -> Eigenvalue:
    value, v = float(values[place]), vectors[:, place]
    residual = float(np.linalg.norm(matrix @ v - value * v))
    return Eigenvalue(abs(value) if magnitude else value, residual, exact=True)
