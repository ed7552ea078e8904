"""Two methods end equally well: the check `within`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import Comparison, compare, why_undecided
from wiregrad.analysis.results.metrics import METRICS, Metric, MetricName
from wiregrad.analysis.results.statistics import Decision, Verdict
from wiregrad.analysis.results.text import short_number


@checks.register("within")
@dataclass(frozen=True, kw_only=True)
class Within(Check):
    """Two methods differ by at most `tolerance` in a metric.

    The effect is the mean of left − right, paired by seed, in the metric's unit; two one-sided
    tests judge it. Equality counts only where both methods are clearly better than chance, and
    where the arm `sensitivity`, expected to fail, is not within `tolerance` of `right` as well.
    """

    left: str
    right: str
    metric: MetricName = "accuracy"
    at: Literal["final"] | dict[str, float] = "final"
    """Where along a run: its end, or e.g. ``{epoch: 5}``."""
    workers: int | None = None
    """Only runs with this number of workers; needed where runs differ in it."""
    chance: float | None = None
    """What a method that learnt nothing would have, in the metric's unit."""
    sensitivity: str | None = None
    """A method that should not be within the margin, or the comparison shows nothing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        arm = () if self.sensitivity is None else (self.sensitivity,)
        return (self.left, self.right, *arm)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        metric = METRICS[self.metric]
        pair, decision = self._compared(results, self.left, metric)
        left, right = (short_number(mean) for mean in pair.means)
        detail = f"{metric.name}: {pair.titles[0]} {left}, {pair.titles[1]} {right}"
        verdict, reason = decision.verdict, ""
        if verdict is Verdict.INCONCLUSIVE:
            reason = why_undecided(pair.estimate, pair.failed)
        if verdict is Verdict.REPRODUCED:
            reason = self._at_chance(pair, metric) or self._insensitive(results, metric)
            verdict = Verdict.INCONCLUSIVE if reason else verdict
        p = decision.p if verdict is decision.verdict else math.nan
        return Finding(verdict, pair.estimate, metric.unit, detail, reason, p)

    def _compared(
        self, results: Results, label: str, metric: Metric
    ) -> tuple[Comparison, Decision]:
        """A method against `right`."""
        no = Verdict.NOT_REPRODUCED
        pair = compare(
            results, label, self.right, metric, at=self.at, workers=self.workers, ratio=False
        )
        decision = statistics.decide_within(pair.estimate, 0.0, self.tolerance)
        return pair, pair.decided(decision, if_left_fails=no, if_right_fails=no)

    def _at_chance(self, pair: Comparison, metric: Metric) -> str:
        """Which method is not clearly better than chance, in words; empty if both are."""
        if self.chance is None:
            return ""
        for title, side in zip(pair.titles, pair.sides, strict=True):
            above = statistics.judge_above(side.scaled(metric.sign), metric.sign * self.chance)
            if above is not Verdict.REPRODUCED:
                return f"{title} is not clearly better than chance ({self.chance:g})"
        return ""

    def _insensitive(self, results: Results, metric: Metric) -> str:
        """Why the comparison would not have shown a difference; empty if it would have."""
        if self.sensitivity is None:
            return ""
        arm, decision = self._compared(results, self.sensitivity, metric)
        if decision.verdict is Verdict.NOT_REPRODUCED:
            return ""
        off = f"{arm.estimate.value:.3g} {metric.unit}".strip().replace("-", "−")
        return f"{arm.titles[0]}, expected to fail, does not fail either ({off})"
