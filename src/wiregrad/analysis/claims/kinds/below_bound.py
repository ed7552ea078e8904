"""A measured quantity stays below its bound: the check `below_bound`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.claims.sweeps import (
    seeds_of,
)
from wiregrad.analysis.results import bounds
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("below_bound")
@dataclass(frozen=True, kw_only=True)
class BelowBound(Check):
    """What a theorem bounds stays at or below its bound in every round of every run.

    The effect is the largest ratio of the measured value to the bound, which must not exceed 1 +
    `tolerance`.
    """

    methods: tuple[str, ...]
    regime: bounds.Regime = "nonconvex"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return self.methods

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        found = bounds.ratios(results, self.methods, self.regime)
        listed = ", ".join(f"{results.title(k)} {v:.3g}" for k, v in found.items())
        detail = f"largest measured/bound: {listed}"
        if set(found) != set(self.methods) or not np.isfinite(list(found.values())).all():
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, "a run diverged")
        worst = max(found, key=lambda key: found[key])
        held = found[worst] <= 1 + self.tolerance
        verdict = Verdict.of(held)
        return Finding(verdict, Estimate.exact(found[worst], seeds_of(results, worst)), "×", detail)
