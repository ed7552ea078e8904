"""The order of methods by bits to a tolerance: the check `sweep_order`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.claims.sweeps import OrderCheck, bits_text, bits_to_tolerance
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.sweeps import BITS, Convention


@checks.register("sweep_order")
@dataclass(frozen=True, kw_only=True)
class SweepOrder(OrderCheck):
    """Methods need uplink bits to a gradient norm in the order given, at the best points of sweeps.

    Every method of a tier needs fewer bits than every method of the next, by a factor above 1 +
    `tolerance`. The effect is the smallest such factor.
    """

    convention: Convention = "paper"

    def evaluate(self, results: Results) -> Finding:
        """See Check."""

        def value(label: str) -> float:
            return bits_to_tolerance(results, label, self.convention)

        what = f"bits a worker to the tolerance, {BITS[self.convention][1]}"
        return self.judged(results, value, what, bits_text)
