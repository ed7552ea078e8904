"""The order of methods by bits to tolerances: the check `sweep_order`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.analysis.claims.spec import checks
from wiregrad.analysis.claims.sweeps import Bits, Tiers, ToleranceCheck, ratio, tier_pairs


@checks.register("sweep_order")
@dataclass(frozen=True, kw_only=True)
class SweepOrder(ToleranceCheck):
    """Methods need uplink bits to a gradient norm in the order given, at the best points of sweeps.

    Every method of a tier needs fewer bits than every method of the next, by a factor above 1 +
    `tolerance`, at ‖∇f‖ ≤ 1e-3 to 1e-6 in half decades and by the area between their curves. The
    effect is the smallest factor by area.
    """

    order: Tiers
    """Labels in tiers, the best tier first."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(label for tier in self.order for label in tier)

    def pairs(self) -> list[tuple[str, str]]:
        """See LevelsCheck."""
        return tier_pairs(self.order)

    def factor(self, better: Bits, worse: Bits) -> float:
        """See ToleranceCheck."""
        return ratio(worse, better, self.need)
