"""A and B of the three-point compressors, and of the methods whose theorems have the same form.

α is the constant of a contractive compressor (E‖C(x) - x‖² <= (1 - α)‖x‖²; Top-K: K/d), ω that of
an unbiased one (E‖Q(x) - x‖² <= ω‖x‖²). All raise ValueError for an α or a p outside (0, 1].
Sources: arXiv 2202.00998 (3PC), 2106.05203 (EF21), 2211.00188 (AdaCGD), 2102.07845 (MARINA).
"""

from __future__ import annotations

import math

from wiregrad.methods.premises import AB


def gd() -> AB:
    """C(x) = x: A = 1, B = 0."""
    return AB(1.0, 0.0)


def ef21(alpha: float) -> AB:
    """H + C(x - h): A = 1 - √(1-α), B = (1-α)/(1 - √(1-α)).

    The constants of EF21+ and of EF21-SGD, too.
    """
    _between(alpha=alpha)
    A = 1 - math.sqrt(1 - alpha)
    return AB(A, (1 - alpha) / A)


def lag(zeta: float) -> AB:
    """Take x if ‖x - h‖² > ζ‖x - y‖², else h: A = 1, B = ζ."""
    return AB(1.0, zeta)


def clag(alpha: float, zeta: float) -> AB:
    """EF21 under LAG's trigger: A = 1 - √(1-α), B = max{B of EF21, ζ}."""
    base = ef21(alpha)
    return AB(base.A, max(base.B, zeta))


def adacgd(alpha: float, zeta: float) -> AB:
    """AdaCGD, α of its last (finest) compressor: the constants of CLAG with that compressor.

    Any other message is only sent if its error is at most ζ‖x - y‖², which is what a skip meets.
    """
    return clag(alpha, zeta)


def v1(alpha: float) -> AB:
    """Y + C(x - y): A = 1, B = 1 - α."""
    _between(alpha=alpha)
    return AB(1.0, 1 - alpha)


def v2(alpha: float, omega: float) -> AB:
    """B + C(x - b), b = h + Q(x - y): A = α, B = (1-α)ω."""
    _between(alpha=alpha)
    return AB(alpha, (1 - alpha) * omega)


def v3(alpha: float, inner: AB) -> AB:
    """B + C(x - b), b = C'_{h,y}(x): A = 1 - (1-α)(1-A'), B = (1-α)B' (derived here).

    ‖b + C(x - b) - x‖² <= (1-α)‖b - x‖² in expectation, then the inequality of C'.
    """
    _between(alpha=alpha)
    return AB(1 - (1 - alpha) * (1 - inner.A), (1 - alpha) * inner.B)


def v4(alpha1: float, alpha2: float) -> AB:
    """B + C_1(x - b), b = h + C_2(x - h): those of EF21 with ᾱ = 1 - (1-α_1)(1-α_2)."""
    _between(alpha1=alpha1, alpha2=alpha2)
    return ef21(1 - (1 - alpha1) * (1 - alpha2))


def v5(alpha: float, p: float) -> AB:
    """Take x with probability p, else h + C(x - y).

    A = 1 - √(1-p), B = (1-p)(1-α)/(1 - √(1-p)).
    """
    _between(alpha=alpha, p=p)
    A = 1 - math.sqrt(1 - p)
    return AB(A, (1 - p) * (1 - alpha) / A)


def marina(p: float, omega: float, n: int) -> AB:
    """MARINA with independent unbiased Q_i at n workers: A = p, B = (1-p)ω/n.

    MARINA is no three-point compressor: the pair holds for the error of the mean, ‖g - ∇f‖², not
    for each worker's. The theorems of 3PC then hold with that error as their G (arXiv 2102.07845).
    """
    _between(p=p)
    return AB(p, (1 - p) * omega / n)


def marina_perm_k(p: float) -> AB:
    """MARINA with Perm-K: A = p, B = 1 - p (derived here).

    Each coordinate comes from one worker, drawn uniformly, so that the mean of the Q_i(v_i) errs
    by mean ‖v_i‖² - ‖mean v_i‖² in expectation: as if ω/n were 1, and not at all for equal v_i.
    """
    _between(p=p)
    return AB(p, 1 - p)


def _between(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} = {value}, required: 0 < {name} <= 1")
