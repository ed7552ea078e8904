"""Theory of 3PC in both directions (EF21-BC, bidirectional 3PC and AdaCGD): step size and bound.

Derived here, and conservative. g_i are the workers' estimates, ḡ their mean, w the server's
estimate, which everyone holds, and x⁺ = x − γw. A, B are the constants of the workers' three-point
compressor, A_M, B_M those of the server's. With G = mean ‖g_i − ∇f_i‖² and W = ‖w − ḡ‖²:

    ‖w − ∇f‖² ≤ 2W + 2G
    G⁺ ≤ (1 − A)G + B L₊²‖x⁺ − x‖²
    W⁺ ≤ (1 − A_M)W + B_M‖ḡ⁺ − ḡ‖²,  ‖ḡ⁺ − ḡ‖² ≤ 3((2 − A)G + (1 + B)L₊²‖x⁺ − x‖²)

and Φ = f − f* + (γ/A_M)W + (γ/A)(1 + 3B_M(2 − A)/A_M)G falls by (γ/2)‖∇f‖² a step. The theorem does
not cover the step for the uplink alone, which the published runs use.
"""

from __future__ import annotations

import math

from wiregrad.methods.premises import AB
from wiregrad.theory.constants import Constants


def m_squared(workers: AB, server: AB) -> float:
    """M² = 2[3B_M(1 + B)/A_M + (B/A)(1 + 3B_M(2 − A)/A_M)]."""
    A, B = workers
    server_ratio = 3 * server.B / server.A
    return 2 * (server_ratio * (1 + B) + B / A * (1 + server_ratio * (2 - A)))


def step(c: Constants, workers: AB, server: AB) -> float:
    """γ = 1/(L₋ + L₊M): every f_i smooth, f bounded below."""
    return 1 / (c.minus + c.plus * math.sqrt(m_squared(workers, server)))


def potential(
    lr: float, gap: float, workers: AB, server: AB, G: float = 0.0, W: float = 0.0
) -> float:
    """Φ = f − f* + (γ/A_M)W + (γ/A)(1 + 3B_M(2 − A)/A_M)G; γ is `lr`, f − f* is `gap`."""
    weight = (1 + 3 * server.B * (2 - workers.A) / server.A) / workers.A
    return gap + lr * (W / server.A + weight * G)


def bound(lr: float, T: int, start: float) -> float:
    """Mean over x⁰..x^{T−1} of E‖∇f‖² ≤ 2Φ⁰/(γT): γ = `lr` ≤ `step`, Φ⁰ = `start` at x⁰."""
    return 2 * start / (lr * T)
