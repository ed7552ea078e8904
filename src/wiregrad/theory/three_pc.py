"""Theory of three-point compressors: A and B of every method, its step sizes, its bounds.

A three-point compressor keeps, for all h, y, x and with 0 < A ≤ 1, B ≥ 0,

    E‖C_{h,y}(x) − x‖² ≤ (1 − A)‖h − y‖² + B‖x − y‖².

α is the constant of a contractive compressor (E‖C(x) − x‖² ≤ (1 − α)‖x‖², Top-K: K/d), ω that of
an unbiased one (E‖Q(x) − x‖² ≤ ω‖x‖²). Throughout g⁰ is exact unless `G0` says otherwise.
Source: arXiv 2202.00998 (3PC), 2106.05203 (EF21), 2211.00188 (AdaCGD).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from wiregrad.compressors.base import Compressor
from wiregrad.core.layout import Shape
from wiregrad.theory.constants import Constants


class AB(NamedTuple):
    """The constants of a three-point compressor; those of MARINA play the same part."""

    A: float
    B: float

    @property
    def ratio(self) -> float:
        """√(B/A)."""
        return math.sqrt(self.B / self.A)


# -- constants of compressors -----------------------------------------------------------------


def alpha(compressor: Compressor, shapes: Sequence[Shape]) -> float:
    """α of a contractive compressor on these blocks: that of the worst.

    Raises ValueError for a compressor that is not contractive.
    """
    contracts = [compressor.contract(shape) for shape in shapes if math.prod(shape)]
    if any(c.kind != "contractive" for c in contracts):
        raise ValueError(f"{compressor.name} is not contractive, so it has no alpha")
    return min((c.constant for c in contracts), default=1.0)


def omega(compressor: Compressor, shapes: Sequence[Shape]) -> float:
    """ω of an unbiased compressor on these blocks: that of the worst; 0 for the identity.

    Raises ValueError for a compressor that is not unbiased.
    """
    contracts = [compressor.contract(shape) for shape in shapes if math.prod(shape)]
    if any(c.kind != "unbiased" and c.error > 0 for c in contracts):
        raise ValueError(f"{compressor.name} is not unbiased, so it has no omega")
    return max((c.error for c in contracts), default=0.0)


# -- A and B of the methods -------------------------------------------------------------------


def gd() -> AB:
    """Of C(x) = x: A = 1, B = 0."""
    return AB(1.0, 0.0)


def ef21(alpha: float) -> AB:
    """Of h + C(x − h): A = 1 − √(1−α), B = (1−α)/(1 − √(1−α)).

    EF21+ and EF21-SGD have the same.
    """
    _between(alpha=alpha)
    A = 1 - math.sqrt(1 - alpha)
    return AB(A, (1 - alpha) / A)


def lag(zeta: float) -> AB:
    """Of x where ‖x − h‖² > ζ‖x − y‖², else h: A = 1, B = ζ."""
    return AB(1.0, zeta)


def clag(alpha: float, zeta: float) -> AB:
    """EF21 under LAG's trigger: A = 1 − √(1−α), B = max{B of EF21, ζ}."""
    base = ef21(alpha)
    return AB(base.A, max(base.B, zeta))


def adacgd(alpha: float, zeta: float) -> AB:
    """AdaCGD, α of its last (finest) compressor: the constants of CLAG with it.

    Every other message is only sent where its error is at most ζ‖x − y‖², as a skip is.
    """
    return clag(alpha, zeta)


def v1(alpha: float) -> AB:
    """Of y + C(x − y): A = 1, B = 1 − α."""
    _between(alpha=alpha)
    return AB(1.0, 1 - alpha)


def v2(alpha: float, omega: float) -> AB:
    """Of b + C(x − b), b = h + Q(x − y): A = α, B = (1−α)ω."""
    _between(alpha=alpha)
    return AB(alpha, (1 - alpha) * omega)


def v3(alpha: float, inner: AB) -> AB:
    """Of b + C(x − b), b = C'_{h,y}(x): A = 1 − (1−α)(1−A'), B = (1−α)B' (derived here).

    ‖b + C(x − b) − x‖² ≤ (1−α)‖b − x‖² in expectation, then the inequality of C'.
    """
    _between(alpha=alpha)
    return AB(1 - (1 - alpha) * (1 - inner.A), (1 - alpha) * inner.B)


def v4(alpha1: float, alpha2: float) -> AB:
    """Of b + C₁(x − b), b = h + C₂(x − h): EF21 with ᾱ = 1 − (1−α₁)(1−α₂)."""
    _between(alpha1=alpha1, alpha2=alpha2)
    return ef21(1 - (1 - alpha1) * (1 - alpha2))


def v5(alpha: float, p: float) -> AB:
    """Of x with probability p, else h + C(x − y).

    A = 1 − √(1−p), B = (1−p)(1−α)/(1 − √(1−p)).
    """
    _between(alpha=alpha, p=p)
    A = 1 - math.sqrt(1 - p)
    return AB(A, (1 - p) * (1 - alpha) / A)


def marina(p: float, omega: float, n: int) -> AB:
    """MARINA with independent unbiased Q_i: A = p, B = (1−p)ω/n.

    No three-point compressor: the pair holds for the error of the mean, ‖g − ∇f‖², not for each
    worker's. The theorems of this file then hold with G that of the mean (arXiv 2102.07845).
    """
    _between(p=p)
    return AB(p, (1 - p) * omega / n)


def marina_perm_k(p: float) -> AB:
    """MARINA with Perm-K: A = p, B = 1 − p (derived here).

    Each coordinate comes from one worker, drawn uniformly, so that the mean of the Q_i(v_i) errs
    by mean ‖v_i‖² − ‖mean v_i‖² in expectation: as if ω/n were 1, and not at all for equal v_i.
    """
    _between(p=p)
    return AB(p, 1 - p)


# -- step sizes -------------------------------------------------------------------------------


def nonconvex_step(c: Constants, ab: AB) -> float:
    """γ = 1/(L₋ + L₊√(B/A)): f bounded below (arXiv 2202.00998)."""
    return 1 / (c.minus + c.plus * ab.ratio)


def pl_step(c: Constants, ab: AB) -> float:
    """γ = min{1/(L₋ + L₊√(2B/A)), A/(2μ)}: f is PL with μ (arXiv 2202.00998)."""
    return min(convex_step(c, ab), ab.A / (2 * _mu(c)))


def convex_step(c: Constants, ab: AB) -> float:
    """γ = 1/(L₋ + L₊√(2B/A)): f convex (derived: see `convex_bound`)."""
    return 1 / (c.minus + c.plus * math.sqrt(2) * ab.ratio)


def diana_step(c: Constants, omega: float, n: int) -> float:
    """γ = 1/((1 + 6ω/n) max L_i) with the shifts' rate 1/(1 + ω): f strongly convex.

    Source: arXiv 1901.09269 in the form of 1905.11261, recalled: the text was not at hand.
    """
    return 1 / ((1 + 6 * omega / n) * c.largest)


# -- bounds -----------------------------------------------------------------------------------


def nonconvex_bound(lr: float, T: int, gap: float, ab: AB, G0: float = 0.0) -> float:
    """E‖∇f(x̂)‖² ≤ 2Δ⁰/(γT) + E[G⁰]/(AT), x̂ uniform among x⁰..x^{T−1}.

    `gap` Δ⁰ = f(x⁰) − f*, G⁰ = mean ‖g_i⁰ − ∇f_i(x⁰)‖². Assumes γ ≤ `nonconvex_step` and every f_i
    smooth. Source: arXiv 2202.00998.
    """
    return 2 * gap / (lr * T) + G0 / (ab.A * T)


def potential(lr: float, gap: float, ab: AB, G: float = 0.0) -> float:
    """Ψ = f − f* + (γ/A)G, what the PL and the convex theorem follow."""
    return gap + lr / ab.A * G


def pl_bound(lr: float, T: int, start: float, c: Constants) -> float:
    """EΨ^T ≤ (1 − γμ)^T Ψ⁰, `start` Ψ⁰ = `potential` at x⁰.

    Assumes γ ≤ `pl_step`, f PL with μ. Source: arXiv 2202.00998.
    """
    return float((1 - lr * _mu(c)) ** T * start)


def convex_bound(lr: float, T: int, start: float, ab: AB, distance: float) -> float:
    """f(x^T) − f* ≤ 4 max{D², γΨ⁰/A}/(γT), D = `distance` ≥ ‖x^t − x*‖ for all t ≤ T.

    Assumes γ ≤ `convex_step`, f convex, deterministic messages. Derived here: with δ = f − f*, one
    step gives Ψ⁺ ≤ Ψ − (γ/2)‖∇f‖² − (γ/2)G; convexity ‖∇f‖ ≥ δ/D; and Ψ² ≤ 2δ² + 2(γ/A)²G²; so
    that Ψ⁺ ≤ Ψ − cΨ² with c = min{γ/(4D²), A/(4Ψ⁰)}, hence Ψ^T ≤ 1/(cT).
    """
    return 4 * max(distance**2, lr * start / ab.A) / (lr * T)


def _mu(c: Constants) -> float:
    if c.mu is None:
        raise ValueError("f has no PL constant, so this theorem does not cover it")
    return c.mu


def _between(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} = {value}, required: 0 < {name} <= 1")
