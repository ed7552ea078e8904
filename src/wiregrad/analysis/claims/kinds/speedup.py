"""Rounds to a target fall with the number of workers: the check `speedup`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import measure, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import why_undecided
from wiregrad.analysis.results.metrics import METRICS, Metric, MetricName
from wiregrad.analysis.results.statistics import Verdict


@checks.register("speedup")
@dataclass(frozen=True, kw_only=True)
class Speedup(Check):
    """The log-log slope of rounds to a target against the number of workers is `expected`.

    It may differ by `tolerance`. The slope is fitted in each seed, and the interval is taken over
    seeds.
    """

    label: str
    target: float
    """A level of the metric, in its unit."""
    metric: MetricName = "train_loss"
    expected: float = -1.0
    paper_points: dict[int, float] = dataclasses.field(default_factory=dict)
    """The paper's rounds for each n: a run that is shorter and misses the target tests nothing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.label,)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        metric = METRICS[self.metric]
        frame = results.frame[results.frame["label"] == self.label]
        table = measure.first_crossing(
            frame, metric.column, self.target / metric.factor, "step", rising=metric.rising
        )
        missed = table[table["censored"]]
        if len(missed):
            return self._censored(missed, len(table), metric)
        if table["workers"].nunique() < 3:
            return Finding(Verdict.NOT_TESTED, reason="fewer than three numbers of workers")
        estimate = statistics.mean_interval(measure.speedup_slopes(table))
        decision = statistics.decide_within(estimate, self.expected, self.tolerance)
        verdict = decision.verdict
        median = table.groupby("workers")["value"].median()
        listed = ", ".join(f"n={n}: {value:.0f}" for n, value in median.items())
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        detail = f"iterations to {self.target:g}: {listed}"
        return Finding(verdict, estimate, "slope", detail, reason, decision.p)

    def _censored(self, missed: pd.DataFrame, runs: int, metric: Metric) -> Finding:
        needed = missed["workers"].map(self.paper_points).fillna(0.0).astype("float64")
        short = bool((missed["spent"] < needed).any())
        where = ", ".join(f"n={n}" for n in sorted(missed["workers"].unique()))
        return Finding(
            Verdict.NOT_TESTED if short else Verdict.INCONCLUSIVE,
            reason=f"{metric.name} {self.target:g} not reached in {len(missed)} of {runs} runs "
            f"({where})" + ("; they were shorter than the paper's" if short else ""),
        )
