"""The order of methods by gradient norm at equal bits: the check `equal_bits`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.claims.sweeps import (
    OrderCheck,
)
from wiregrad.analysis.results.aggregate import Results


@checks.register("equal_bits")
@dataclass(frozen=True, kw_only=True)
class EqualBits(OrderCheck):
    """Methods have ‖∇f‖² in the order given once each worker has sent `bits` bits.

    Uplink bits are counted as values only. What counts of a run is its last logged round within
    them, or its end where it sends fewer. Every method of a tier must be below every method of the
    next by a factor above 1 + `tolerance`; the effect is the smallest such factor.
    """

    bits: float

    def evaluate(self, results: Results) -> Finding:
        """See Check."""

        def value(label: str) -> float:
            mine = results.frame[results.frame["label"] == label]
            mine = mine[mine["outcome"] != "diverged"].dropna(subset="grad_norm")
            within = mine[mine["uplink_bits_paper"] <= self.bits]
            ends = within.sort_values("step").groupby("run_id")["grad_norm"].last()
            return float((ends**2).mean()) if len(ends) else math.inf

        what = f"‖∇f‖² at {self.bits:,.0f} bits a worker"
        return self.judged(results, value, what, lambda v: f"{v:.3g}")
