"""Gradients fall with the length of a run at a given rate: the check `rate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import horizons, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import why_undecided
from wiregrad.analysis.results.statistics import Verdict


@checks.register("rate")
@dataclass(frozen=True, kw_only=True)
class Rate(Check):
    """Over runs of T rounds the log-log slope of mean ‖∇f‖² against T is `expected` or steeper.

    It may exceed `expected` by `tolerance`. See `wiregrad.analysis.results.horizons`.
    """

    label: str
    expected: float = -0.5

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.label,)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        table = horizons.averages(results.frame[results.frame["label"] == self.label])
        if table["value"].isna().any():
            failed = int(table["value"].isna().sum())
            return Finding(Verdict.INCONCLUSIVE, reason=f"{failed} of {len(table)} runs diverged")
        estimate = horizons.slope(table)
        if estimate.n == 0:
            return Finding(Verdict.NOT_TESTED, reason="fewer than three horizons")
        bound = -(self.expected + self.tolerance)
        decision = statistics.decide_above(estimate.scaled(-1), bound)
        verdict = decision.verdict
        median = table.groupby("horizon")["value"].median()
        listed = ", ".join(f"T={int(np.asarray(t))}: {v:.3g}" for t, v in median.items())
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "slope", f"mean ‖∇f‖²: {listed}", reason, decision.p)
