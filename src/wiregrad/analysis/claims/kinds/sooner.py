"""Applying messages on arrival is faster than waiting for all: the check `sooner`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.analysis.claims.runs import RunsCheck, mean
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("sooner")
@dataclass(frozen=True, kw_only=True)
class Sooner(RunsCheck):
    """On the simulated clock each method reaches a target sooner when messages apply on arrival.

    Runs with ``runtime.apply: each`` are compared with those with ``all``. The effect is the
    smallest ratio of a method's mean times, which must be above 1 + `tolerance`.
    """

    target: float
    column: str = "metric_test"
    """A column of histories."""
    rising: bool = True
    """Whether the column rises to the target; else it falls to it."""

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        factors, listed = [], []
        for label in self.methods:
            times: dict[str, list[float]] = {"each": [], "all": []}
            mine = list(asynchrony.runs(results, (label,)))
            for run in mine:
                apply = str(run.setting("runtime.apply"))
                if apply in times:
                    seconds = asynchrony.seconds_until(
                        run, self.column, self.target, rising=self.rising
                    )
                    times[apply].append(seconds)
            each, every = mean(times["each"]), mean(times["all"])
            if math.isnan(each) or math.isnan(every) or (math.isinf(each) and math.isinf(every)):
                why = f"{label}: neither way reached {self.target:g}, or one was not run"
                return Finding(Verdict.INCONCLUSIVE, reason=why)
            factors.append(every / each)
            listed.append(f"{mine[0].group.title} {each:.3g} s against {every:.3g} s")
        worst = min(factors)
        seeds = min(g.seeds for g in results.groups if g.label in self.methods)
        detail = f"simulated seconds to {self.column} {self.target:g}: {', '.join(listed)}"
        held = worst > 1 + self.tolerance
        return Finding(Verdict.of(held), Estimate.exact(worst, seeds), "×", detail)
