"""Two methods end equally well: the check `within`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import compare, why_undecided
from wiregrad.analysis.results.metrics import METRICS, MetricName
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.analysis.results.text import short_number


@checks.register("within")
@dataclass(frozen=True, kw_only=True)
class Within(Check):
    """Two methods differ by at most `tolerance` in a metric.

    The effect is the mean of left − right, paired by seed, in the metric's unit.
    """

    left: str
    right: str
    metric: MetricName = "accuracy"
    at: Literal["final"] | dict[str, float] = "final"
    """Where along a run: its end, or e.g. ``{epoch: 5}``."""
    workers: int | None = None
    """Only runs with this number of workers; needed where runs differ in it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.left, self.right)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        metric = METRICS[self.metric]
        pair = compare(
            results, self.left, self.right, metric, at=self.at, workers=self.workers, ratio=False
        )
        no = Verdict.NOT_REPRODUCED
        verdict = pair.judged(statistics.judge_within(pair.estimate, 0.0, self.tolerance), no, no)
        left, right = (short_number(mean) for mean in pair.means)
        detail = f"{metric.name}: {pair.titles[0]} {left}, {pair.titles[1]} {right}"
        reason = (
            why_undecided(pair.estimate, pair.failed) if verdict is Verdict.INCONCLUSIVE else ""
        )
        return Finding(verdict, pair.estimate, metric.unit, detail, reason)
