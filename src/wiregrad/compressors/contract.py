"""The class of a compressor, and its constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Contract:
    """The class of a compressor and its constant, for vectors of one size.

    contractive: E‖C(x) − x‖² ≤ (1 − constant)‖x‖², 0 < constant ≤ 1 (δ);
    unbiased: E Q(x) = x and E‖Q(x)‖² ≤ constant·‖x‖², constant ≥ 1 (α; ω = α − 1);
    biased: neither; only E‖C(x) − x‖² ≤ constant·‖x‖² with constant ≥ 1.

    All hold up to the rounding of the float type and, since there are denormal numbers, up to an
    error of its smallest normal number in each element.
    """

    kind: Literal["contractive", "unbiased", "biased"]
    constant: float

    @staticmethod
    def of_error(factor: float) -> Contract:
        """The contract that E‖C(x) − x‖² ≤ factor·‖x‖² gives: contractive where factor < 1."""
        if factor < 1:
            return Contract("contractive", 1 - factor)
        return Contract("biased", factor)

    @property
    def error(self) -> float:
        """The bound on E‖C(x) − x‖² / ‖x‖²: 1 − δ, α − 1 = ω, or the constant."""
        if self.kind == "contractive":
            return 1 - self.constant
        return self.constant - 1 if self.kind == "unbiased" else self.constant
