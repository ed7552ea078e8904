"""Theory of asynchronous compressed gradients (Khirirat, Feyzmahdavian, Johansson, 1806.06573).

f = Σ f_i is a sum over n workers. Q is unbiased, E‖Q(v)‖² ≤ α‖v‖², with independent draws. T1 to
T5 are valid forms that were derived here, with their derivations; the paper's constants may differ.
The theorems also cover any smaller step γ than the one they give, and bounds are functions of γ,
which is `lr` throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from wiregrad.compressors.base import Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.compressors.qsgd import QSGD
from wiregrad.compressors.rand_k import RandK
from wiregrad.compressors.sparsifier import Sparsifier
from wiregrad.compressors.ternary import Ternary
from wiregrad.compressors.top_k import TopK
from wiregrad.core.errors import NotCovered
from wiregrad.theory.constants import Constants

_SUPPORT_ONLY = (Identity, Ternary, QSGD)
"""Compressors whose constants are those of the vector's nonzeros alone."""


# -- constants ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Constants of f = Σ f_i, every f_i convex and L_i-smooth."""

    each: tuple[float, ...]
    """L_i."""
    L: float
    """Smoothness of f."""
    mu: float | None = None
    """Strong convexity of f."""
    stale: float | None = None
    """A bound on ‖Σ (∇f_i(x + u_i) − ∇f_i(x))‖ / max‖u_i‖ that sparsity makes smaller than ΣL_i."""

    @property
    def total(self) -> float:
        """L_Σ = ΣL_i, or what sparsity makes of it."""
        plain = math.fsum(self.each)
        return plain if self.stale is None else min(plain, self.stale)

    @property
    def squares(self) -> float:
        """ΣL_i²."""
        return math.fsum(L * L for L in self.each)

    @property
    def largest(self) -> float:
        """Max L_i."""
        return max(self.each)

    @property
    def strong(self) -> float:
        """μ; raises NotCovered if f has none."""
        if not self.mu:
            raise NotCovered("f is not strongly convex, so this theorem does not cover it")
        return self.mu

    def sparse(self, overlap: int) -> Sum:
        """The same for f_i of which at most ω, `overlap`, depend on any one coordinate of x.

        ‖Σ v_i‖² ≤ ω Σ‖v_i‖² for v_i on such supports, so ΣL_i may be replaced by √(ω ΣL_i²)
        (derived: Cauchy and Schwarz in each coordinate, which at most ω of the v_i touch).
        """
        return replace(self, stale=math.sqrt(overlap * self.squares))


def of_mean(c: Constants) -> Sum:
    """Constants of Σ f_i from those of the mean of the f_i."""
    n = len(c.each)
    return Sum(each=c.each, L=n * c.minus, mu=None if c.mu is None else n * c.mu)


def alpha(compressor: Compressor, d: int, nonzeros: int | None = None) -> float:
    """α of an unbiased compressor on vectors `[d]`, of at most `nonzeros` nonzeros where given.

    supp Q(v) ⊆ supp v, so ternary and low precision compress as if zeros were not there. Raises
    NotCovered for a compressor that is not unbiased.
    """
    size = d
    if nonzeros is not None and isinstance(compressor, _SUPPORT_ONLY):
        size = max(1, min(d, nonzeros))
    contract = compressor.contract((size,))
    if contract.kind != "unbiased" and contract.error > 0:
        raise NotCovered(f"{compressor.name} is not unbiased, so it has no alpha")
    return 1 + contract.error


def expected_nonzeros(compressor: Compressor, d: int, nonzeros: int | None = None) -> float:
    """A c with E‖Q(v)‖₀ ≤ c, for v `[d]` of at most `nonzeros` nonzeros where given.

    Sparsifier Σp, ternary √d, low precision s(s + √d) (recalled), never above the nonzeros.
    Raises NotCovered for a compressor for which no c is known.
    """
    most = d if nonzeros is None else min(d, nonzeros)
    match compressor:
        case Identity():
            found: float = most
        case Sparsifier():
            kept = most if compressor.probabilities == "uniform" else d
            found = compressor.share * kept
        case Ternary(norm="l2"):
            found = math.sqrt(most)
        case QSGD():
            found = compressor.levels * (compressor.levels + math.sqrt(most))
        case RandK() | TopK():
            k, ratio = compressor.k, compressor.ratio
            found = min(d, k if k is not None else max(1, math.floor((ratio or 0) * d)))
        case _:
            raise NotCovered(f"{compressor.name}: no bound on the number of nonzeros is known")
    return min(found, most)


# -- T1: Q-GD -----------------------------------------------------------------------------------


def q_gd_step(L: float, alpha: float) -> float:
    """T1: γ = 1/(αL) for x⁺ = x − γQ(∇f(x))."""
    return 1 / (alpha * L)


def q_gd_bound(s: Sum, lr: float, alpha: float, k: int, gap: float) -> float:
    """T1, strongly convex: E f(x_k) − f* ≤ (1 − 2γμ(1 − γαL/2))^k (f(x₀) − f*).

    At γ = 1/(αL) the rate is 1 − μ/(αL). Derived: smoothness gives E f(x⁺) ≤ f − γ(1 − γαL/2)‖∇f‖²,
    and ‖∇f‖² ≥ 2μ(f − f*); so it holds for a PL constant μ as well. `gap` is f(x₀) − f*.
    """
    _at_most(lr, q_gd_step(s.L, alpha))
    return float((1 - 2 * lr * s.strong * (1 - lr * alpha * s.L / 2)) ** k * gap)


def q_gd_convex_bound(s: Sum, lr: float, alpha: float, T: int, distance2: float) -> float:
    """T1, convex: the mean over k < T of E f(x_k) − f* is at most ‖x₀ − x*‖²/(2γT).

    Derived: ⟨∇f, x − x*⟩ ≥ f − f* + ‖∇f‖²/(2L), so E‖x⁺ − x*‖² ≤ ‖x − x*‖² − 2γ(f − f*) for
    γ ≤ 1/(αL).
    """
    _at_most(lr, q_gd_step(s.L, alpha))
    return distance2 / (2 * lr * T)


def q_gd_nonconvex_bound(s: Sum, lr: float, alpha: float, T: int, gap: float) -> float:
    """T1, nonconvex: min over k < T of E‖∇f(x_k)‖² ≤ 2(f(x₀) − f*)/(γT).

    Derived: E f(x⁺) ≤ f − (γ/2)‖∇f‖² for γ ≤ 1/(αL), f L-smooth.
    """
    _at_most(lr, q_gd_step(s.L, alpha))
    return 2 * gap / (lr * T)


# -- T2: distributed ----------------------------------------------------------------------------


def distributed_step(s: Sum, alpha: float) -> float:
    """T2: γ = 1/(L + 2(α − 1)L_max) for x⁺ = x − γ Σ Q_i(∇f_i(x))."""
    return 1 / (s.L + 2 * (alpha - 1) * s.largest)


def distributed_floor(s: Sum, lr: float, alpha: float, sigma2: float) -> float:
    """T2's floor 2γ(α − 1)σ*²/μ, σ*² = Σ‖∇f_i(x*)‖² is `sigma2`: proportional to γ, 0 if σ* is."""
    return 2 * lr * (alpha - 1) * sigma2 / s.strong


def distributed_bound(
    s: Sum, lr: float, alpha: float, k: int, distance2: float, sigma2: float
) -> float:
    """T2: E‖x_k − x*‖² ≤ (1 − μγ)^k ‖x₀ − x*‖² + floor, every f_i convex.

    Derived: E‖ΣQ_i(g_i)‖² ≤ ‖∇f‖² + (α − 1)Σ‖g_i‖², ‖∇f‖² ≤ 2L(f − f*), and
    Σ‖g_i − g_i*‖² ≤ 2L_max(f − f*).
    """
    _at_most(lr, distributed_step(s, alpha))
    rate = (1 - s.strong * lr) ** k
    return float(rate * distance2 + distributed_floor(s, lr, alpha, sigma2))


# -- T3: delayed --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recursion:
    """V_{k+1} ≤ p V_k + q max V_s + r, the maximum over k − `window` ≤ s ≤ k (T4)."""

    p: float
    q: float
    r: float
    window: int

    def bound(self, k: float, start: float) -> float:
        """T4: V_k ≤ (p + q)^{k/(1 + window)} V₀ + r/(1 − p − q).

        V₀ is `start`, the largest V_s with s ≤ 0. The lemma is recalled; derived: with ρ = `rate`,
        pρᵏ + qρ^{k−window} ≤ ρ^{k+1}, and the floor is a fixed point. Raises ValueError if
        p + q ≥ 1.
        """
        return float(self.rate**k * start + self.floor)

    @property
    def rate(self) -> float:
        """(p + q)^{1/(1 + window)}: the factor that V falls by in a step."""
        return float(self._contraction ** (1 / (1 + self.window)))

    @property
    def floor(self) -> float:
        """r/(1 − p − q)."""
        return self.r / (1 - self._contraction)

    @property
    def _contraction(self) -> float:
        found = self.p + self.q
        if not 0 <= found < 1:
            raise ValueError(f"p + q = {found:.6g}, required: 0 <= p + q < 1")
        return found


def second_moment(s: Sum, alpha: float) -> float:
    """G = L_Σ² + 2(α − 1)ΣL_i²: E‖Σ Q_i‖² ≤ G max‖x − x*‖² + 2(α − 1)σ*²."""
    return s.total**2 + 2 * (alpha - 1) * s.squares


def delayed_step(s: Sum, alpha: float, tau: int) -> float:
    """T3: γ = min{μ/(4G), μ/(τ²L_Σ²)} for x⁺ = x − γ Σ Q_i(∇f_i(x_{k − τ_i})), τ_i ≤ τ."""
    step = s.strong / (4 * second_moment(s, alpha))
    return step if tau == 0 else min(step, s.strong / (tau * s.total) ** 2)


def delayed(s: Sum, lr: float, alpha: float, tau: int, sigma2: float = 0.0) -> Recursion:
    """T3 as a recursion for V_k = E‖x_k − x*‖²: its `bound`, `rate` and `floor`.

    p = 1 − γμ, q = γ²Gc, r = 2(α − 1)σ*²γ²c with c = 1 + γτ²L_Σ²/μ, and the window is 2τ. Derived:
    with the error e of stale gradients, −2γ⟨e, x − x*⟩ ≤ γμ‖x − x*‖² + (γ/μ)‖e‖², and ‖e‖² is at
    most L_Σ²τ times the sum of the last τ squared moves. Holds for all γ with q < γμ.
    """
    c = 1 + lr * (tau * s.total) ** 2 / s.strong
    q = lr**2 * second_moment(s, alpha) * c
    r = 2 * (alpha - 1) * sigma2 * lr**2 * c
    return Recursion(1 - lr * s.strong, q, r, 2 * tau)


# -- T5: one eigenvalue -------------------------------------------------------------------------


def delay_threshold(tau: int) -> float:
    """T5: x_{k+1} = x_k − γλ x_{k−τ} decays iff 0 < γλ < 2 sin(π/(4τ + 2)).

    At the threshold z = e^{iθ} with θ = π/(2τ + 1) solves z^{τ+1} = z^τ − γλ.
    """
    return 2 * math.sin(math.pi / (4 * tau + 2))


def spectral_radius(gain: float, tau: int) -> float:
    """The largest |z| with z^{τ+1} = z^τ − `gain`: the factor of T5's recursion in a step."""
    polynomial = np.zeros(tau + 2)
    polynomial[0], polynomial[1] = 1, -1
    polynomial[-1] += gain
    return float(np.abs(np.roots(polynomial)).max())


def _at_most(lr: float, limit: float) -> None:
    if not 0 < lr <= limit * (1 + 1e-12):
        raise ValueError(f"lr = {lr:.6g}, allowed by the theorem: at most {limit:.6g}")
