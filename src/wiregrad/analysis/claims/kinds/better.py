"""Some methods end better than others: the check `better`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import Comparison, compare, why_undecided
from wiregrad.analysis.results.metrics import METRICS, Metric, MetricName
from wiregrad.analysis.results.statistics import Decision, Estimate, Verdict
from wiregrad.analysis.results.text import short_number

_YES = Verdict.REPRODUCED


@checks.register("better")
@dataclass(frozen=True, kw_only=True)
class Better(Check):
    """Every method of `better` beats every method of `worse` by more than `tolerance`.

    Differences are paired by seed. With `ratio`, the metric of `worse` over that of `better` (the
    reverse where more is better) must exceed `tolerance`, for example 1.5. The effect shown is that
    of the closest pair.
    """

    better: tuple[str, ...]
    worse: tuple[str, ...]
    metric: MetricName = "train_loss"
    at: Literal["final"] | dict[str, float] = "final"
    """Where along a run: its end, or e.g. ``{epoch: 5}``."""
    workers: int | None = None
    """Only runs with this number of workers; needed where runs differ in it."""
    ratio: bool = False
    """Whether ratios are compared in place of differences."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.better, *self.worse)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        metric = METRICS[self.metric]
        judged = []
        for good in self.better:
            for bad in self.worse:
                pair = compare(results, good, bad, metric, **self._how())
                judged.append((self._advantage(pair, metric), pair))
        parts = [self._decide(pair, metric) for _, pair in judged]
        decision = statistics.decide_all(parts)
        known = [item for item in judged if math.isfinite(item[0].value)]
        estimate, pair = min(known or judged, key=lambda item: item[0].value)
        values = {t: m for _, p in judged for t, m in zip(p.titles, p.means, strict=True)}
        listed = ", ".join(f"{title} {short_number(value)}" for title, value in values.items())
        reason = ""
        if decision.verdict is Verdict.INCONCLUSIVE:
            first = next(i for i, part in enumerate(parts) if part.verdict is not _YES)
            reason = why_undecided(judged[first][0], judged[first][1].failed)
            reason += f" ({' against '.join(judged[first][1].titles)})"
        unit = "×" if self.ratio else metric.unit
        detail = f"{metric.name}: {listed}"
        return Finding(decision.verdict, estimate, unit, detail, reason, decision.p)

    def _how(self) -> dict[str, Any]:
        return {"at": self.at, "workers": self.workers, "ratio": self.ratio}

    def _advantage(self, pair: Comparison, metric: Metric) -> Estimate:
        advantage = pair.estimate.scaled(metric.sign)
        if not self.ratio:
            return advantage
        low, value, high = (math.exp(x) for x in (advantage.low, advantage.value, advantage.high))
        return Estimate(value, low, high, advantage.n)

    def _decide(self, pair: Comparison, metric: Metric) -> Decision:
        bound = math.log(self.tolerance) if self.ratio else self.tolerance
        return pair.decided(
            statistics.decide_above(pair.estimate.scaled(metric.sign), bound),
            if_left_fails=Verdict.NOT_REPRODUCED,
            if_right_fails=_YES,
        )
