"""Methods need fewer rounds on one kind of data: the check `fewer_rounds_on`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.analysis.claims.order import by_factor
from wiregrad.analysis.claims.runs import RunsCheck, mean
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("fewer_rounds_on")
@dataclass(frozen=True, kw_only=True)
class FewerRoundsOn(RunsCheck):
    """Each method needs fewer rounds on one data set than on another, each at its own step.

    Rounds are counted until f − f* is a share `below` of that at x⁰. The effect is the smallest
    ratio of the rounds, which must be above 1 + `tolerance`; a factor within
    5 % of 1 is a tie.
    """

    quick: str
    """The start of the name of the data set on which fewer rounds are expected."""
    slow: str
    """The same for the other data set."""
    below: float

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        factors, listed = [], []
        for label in self.methods:
            mine = list(asynchrony.runs(results, (label,)))
            rounds = {
                data: mean(
                    [
                        asynchrony.rounds_until(run, "gap", self.below)
                        for run in mine
                        if str(run.setting("problem.data")).startswith(data)
                    ]
                )
                for data in (self.quick, self.slow)
            }
            if not math.isfinite(rounds[self.quick]):
                why = f"{label} never got to {self.below:g} on {self.quick}"
                return Finding(Verdict.INCONCLUSIVE, reason=why)
            factors.append(rounds[self.slow] / rounds[self.quick])
            numbers = f"{rounds[self.quick]:.0f} against {rounds[self.slow]:.0f}"
            listed.append(f"{mine[0].group.title} {numbers}")
        worst = min(factors)
        estimate = Estimate.exact(worst, min(g.seeds for g in results.groups))
        detail = f"rounds, {self.quick} against {self.slow}: {', '.join(listed)}"
        verdict, reason = by_factor(worst, 1 + self.tolerance)
        return Finding(verdict, estimate, "×", detail, reason)
