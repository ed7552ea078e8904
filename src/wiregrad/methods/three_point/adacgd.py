"""AdaCGD (Makarenko, Gasanov, Islamov, Sadiev, Richtárik, arXiv 2211.00188)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wiregrad.methods.base import NonNegative, register
from wiregrad.methods.three_point.gradient_descent import ThreePC
from wiregrad.methods.three_point.mechanisms import AdaCGDMechanism, Levels


@register("adacgd")
@dataclass(frozen=True, kw_only=True)
class AdaCGD(ThreePC):
    """AdaCGD: each worker sends as little as will do, in every round anew.

    round 1
    worker  g_i = ∇f_i;  send g_i
    then, with s = ∇f_i - g_i and r = zeta ‖∇f_i - previous ∇f_i‖²
    worker  send nothing where ‖s‖² <= r
            else c_i = C_j(s) for the first j < m with ‖s - C_j(s)‖² <= r, else C_m(s)
            g_i <- g_i + c_i;  send c_i
    server  g <- g + mean c_i;  x <- x - lr g;  broadcast x

    lr is the paper's γ.
    """

    source = "arXiv 2211.00188 (AdaCGD)"

    compressors: Levels
    """C_1..C_m, contractive, the cheapest first."""
    zeta: NonNegative
    """ζ, of the trigger: >= 0."""

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {"compressors": [{"name": "top_k", "k": 1}, "identity"], "zeta": 1.0}

    @property
    def mechanism(self) -> AdaCGDMechanism:
        return AdaCGDMechanism(compressors=self.compressors, zeta=self.zeta)
