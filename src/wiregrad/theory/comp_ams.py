"""Theory of COMP-AMS (Li, Karimi, Li, ICLR 2022, arXiv 2205.05632): constants, step size, bounds.

All functions take a `Setting`. A name that ends in 2 is of a squared quantity: `sigma2` is σ².
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.compressors.base import Contract


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Assumptions of the paper and hyper-parameters of the run.

    Every f_i is L-smooth, gradients are unbiased with ‖g‖ ≤ G, and C is q-deviate:
    ‖C(x) - x‖ ≤ q‖x‖, 0 ≤ q < 1.
    """

    L: float
    """Smoothness of every f_i, > 0."""
    G: float
    """Bound on ‖g‖, > 0."""
    q: float
    """Deviation of the compressor, in [0, 1)."""
    n: int = 1
    """Number of workers."""
    d: int = 1
    """Dimension of x."""
    sigma2: float = 0.0
    """σ², a bound on the variance of a worker's gradient."""
    sigma_g2: float = 0.0
    """σ_g², a bound on the heterogeneity: the mean over workers of ‖∇f_i - ∇f‖²."""
    beta1: float = 0.9
    """β1, in [0, 1)."""
    eps: float = 1e-8
    """ε > 0, inside the root."""

    def __post_init__(self) -> None:
        if not 0 <= self.q < 1:
            raise ValueError(f"q = {self.q}, required: 0 <= q < 1")
        if not 0 <= self.beta1 < 1:
            raise ValueError(f"beta1 = {self.beta1}, required: 0 <= beta1 < 1")
        if min(self.L, self.G, self.eps) <= 0:
            raise ValueError("L, G and eps must be positive")


def deviation(contract: Contract) -> float:
    """The q of a contractive compressor: q² = 1 - δ. Raises ValueError on an unbiased one."""
    if contract.kind != "contractive":
        raise ValueError("the theory of COMP-AMS covers contractive compressors only")
    return math.sqrt(1 - contract.constant)


def c0(s: Setting) -> float:
    """C0 = √(4(1+q²)³G²/(1-q²)² + ε): what √(v̂ + ε) stays below."""
    return math.sqrt(second_moment_bound(s) + s.eps)


def c1(s: Setting) -> float:
    """C1 = β1/(1-β1) + 2q/(1-q²)."""
    return s.beta1 / (1 - s.beta1) + 2 * s.q / (1 - s.q**2)


def c2(s: Setting) -> float:
    """C2 = β1²/(1-β1)² + 4q²/(1-q²)²."""
    return s.beta1**2 / (1 - s.beta1) ** 2 + 4 * s.q**2 / (1 - s.q**2) ** 2


def residual_bound(s: Setting) -> float:
    """‖e_i‖² ≤ 4q²G²/(1-q²)², for every worker in every round."""
    return 4 * s.q**2 * s.G**2 / (1 - s.q**2) ** 2


def second_moment_bound(s: Setting) -> float:
    """Each element of v̂ ≤ 4(1+q²)³G²/(1-q²)², in every round."""
    return 4 * (1 + s.q**2) ** 3 * s.G**2 / (1 - s.q**2) ** 2


def step_size_limit(s: Setting) -> float:
    """The largest η of Theorem 1: ε / (3 C0 √(2L·max{2L, C2}))."""
    return s.eps / (3 * c0(s) * math.sqrt(2 * s.L * max(2 * s.L, c2(s))))


def corollary_step_size(s: Setting, T: int) -> float:
    """The η of the corollary (linear speed-up in n): min{limit of Theorem 1, √(n/T)}."""
    return min(step_size_limit(s), math.sqrt(s.n / T))


def gradient_bound(
    s: Setting, lr: float, T: int, delta: float, *, as_printed: bool = False
) -> float:
    """Theorem 1's bound on (1/T) Σ E‖∇f(x_t)‖² after T rounds; η is `lr`, f(x_1) - f* `delta`.

    The printed third term has C1; the proof replaces C2 by it because C2 ≤ C1, which is false at
    β1 = 0.9. So the default keeps C2, and `as_printed` puts C1. Raises ValueError if `lr` is above
    `step_size_limit`: the theorem does not cover it.
    """
    if lr > step_size_limit(s):
        raise ValueError(f"lr = {lr}, allowed by Theorem 1: at most {step_size_limit(s):.3g}")
    C0, C1 = c0(s), c1(s)
    third = C1 if as_printed else c2(s)
    noise, gap = s.sigma2 / s.n, (1 - s.q**2) ** 2
    terms = (
        delta / (T * lr),
        lr * s.L * noise / s.eps,
        3 * lr**2 * s.L * C0 * third * noise / s.eps**2,
        12 * lr**2 * s.q**2 * s.L * C0 * s.sigma_g2 / (gap * s.eps**2),
        (1 + C1) * s.G**2 * s.d / (T * math.sqrt(s.eps)),
        lr * (1 + 2 * C1) * C1 * s.L * s.G**2 * s.d / (T * s.eps),
    )
    return 2 * C0 * sum(terms)
