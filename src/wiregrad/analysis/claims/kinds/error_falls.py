"""The compression error falls during training: the check `error_falls`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import why_undecided
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.analysis.results.text import short_number


@checks.register("error_falls")
@dataclass(frozen=True, kw_only=True)
class ErrorFalls(Check):
    """The relative compression error of `falling` falls during training, that of `flat` does not.

    The log-log slope of the error against the round is fitted in each seed: the error falls
    where the slope is below −`tolerance`. The effect is the largest slope of `falling`.
    """

    falling: tuple[str, ...]
    flat: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.falling, *self.flat)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        found = {label: self._slope(results.frame, label) for label in self.labels}
        parts = [
            statistics.decide_above(found[label].scaled(-1), self.tolerance)
            for label in self.falling
        ]
        parts += [statistics.decide_above(found[label], -self.tolerance) for label in self.flat]
        decision = statistics.decide_all(parts)
        titles = {group.label: group.title for group in results.groups}
        detail = "slopes of the error: " + ", ".join(
            f"{titles[label]} {short_number(estimate.value)}" for label, estimate in found.items()
        )
        worst = max((found[label] for label in self.falling), key=_by_value)
        reason = ""
        if decision.verdict is Verdict.INCONCLUSIVE:
            first = next(i for i, p in enumerate(parts) if p.verdict is not Verdict.REPRODUCED)
            reason = why_undecided(list(found.values())[first])
        return Finding(decision.verdict, worst, "slope", detail, reason, decision.p)

    def _slope(self, frame: pd.DataFrame, label: str) -> Estimate:
        mine = frame[(frame["label"] == label) & (frame["step"] > 0)]
        mine = mine[mine["compression_error"] > 0]
        fits = [
            statistics.loglog_slope(
                run["step"].to_numpy(), run["compression_error"].to_numpy()
            ).value
            for _, run in mine.groupby("run_id")
            if run["step"].nunique() >= 3 and not (run["outcome"] == "diverged").any()
        ]
        return statistics.mean_interval(fits)


def _by_value(estimate: Estimate) -> float:
    return -math.inf if math.isnan(estimate.value) else estimate.value
