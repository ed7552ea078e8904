"""Theorems on methods with a three-point compressor: their step sizes and bounds.

A three-point compressor satisfies, for all h, y, x and with 0 < A ≤ 1, B ≥ 0,

    E‖C_{h,y}(x) − x‖² ≤ (1 − A)‖h − y‖² + B‖x − y‖².

Each method says its A and B (`wiregrad.methods.three_point.constants` has the formulas). The first
estimates g⁰ are exact unless `G0` says otherwise.
Source: arXiv 2202.00998 (3PC), 2106.05203 (EF21), 2211.00188 (AdaCGD).
"""

from __future__ import annotations

import math

from wiregrad.core.errors import NotCovered
from wiregrad.methods.premises import AB
from wiregrad.theory.constants import Constants

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
    """γ = 1/((1 + 6ω/n) max L_i) of DIANA with `shift_rate` 1/(1 + ω): f strongly convex.

    Source: arXiv 1901.09269 in the form of 1905.11261, recalled: the text was not at hand.
    """
    return 1 / ((1 + 6 * omega / n) * c.largest)


# -- bounds -----------------------------------------------------------------------------------


def nonconvex_bound(lr: float, T: int, gap: float, ab: AB, G0: float = 0.0) -> float:
    """E‖∇f(x̂)‖² ≤ 2Δ⁰/(γT) + E[G⁰]/(AT), x̂ uniform among x⁰..x^{T−1}.

    γ is `lr`, at most `nonconvex_step`; Δ⁰ is `gap`, f(x⁰) − f*; G⁰ = mean ‖g_i⁰ − ∇f_i(x⁰)‖² is
    `G0`. Every f_i is smooth. Source: arXiv 2202.00998.
    """
    return 2 * gap / (lr * T) + G0 / (ab.A * T)


def potential(lr: float, gap: float, ab: AB, G: float = 0.0) -> float:
    """Ψ = f − f* + (γ/A)G, which falls in the proofs of the PL and the convex theorem."""
    return gap + lr / ab.A * G


def pl_bound(lr: float, T: int, start: float, c: Constants) -> float:
    """EΨ^T ≤ (1 − γμ)^T Ψ⁰.

    γ is `lr`, at most `pl_step`; Ψ⁰ is `start`, the `potential` at x⁰. f is PL with μ.
    Source: arXiv 2202.00998.
    """
    return float((1 - lr * _mu(c)) ** T * start)


def convex_bound(lr: float, T: int, start: float, ab: AB, distance: float) -> float:
    """f(x^T) − f* ≤ 4 max{D², γΨ⁰/A}/(γT).

    γ is `lr`, at most `convex_step`; Ψ⁰ is `start`, the `potential` at x⁰; D is `distance`, at
    least ‖x^t − x*‖ for all t ≤ T. f is convex, messages are deterministic.

    Derived here: with δ = f − f*, one step gives Ψ⁺ ≤ Ψ − (γ/2)‖∇f‖² − (γ/2)G; convexity gives
    ‖∇f‖ ≥ δ/D; and Ψ² ≤ 2δ² + 2(γ/A)²G². So Ψ⁺ ≤ Ψ − cΨ² with c = min{γ/(4D²), A/(4Ψ⁰)}, hence
    Ψ^T ≤ 1/(cT).
    """
    return 4 * max(distance**2, lr * start / ab.A) / (lr * T)


def _mu(c: Constants) -> float:
    if c.mu is None:
        raise NotCovered("f has no PL constant, so this theorem does not cover it")
    return c.mu
