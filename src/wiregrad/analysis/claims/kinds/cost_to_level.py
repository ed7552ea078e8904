"""How many times the cost of another a method has to the same metric: the check `cost_to_level`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import measure, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import why_undecided
from wiregrad.analysis.results.metrics import METRICS, BitsColumn, MetricName
from wiregrad.analysis.results.statistics import Verdict


@checks.register("cost_to_level")
@dataclass(frozen=True, kw_only=True)
class CostToLevel(Check):
    """The method `dense` needs `expected` times the rounds, or bits, of `compressed` to a metric.

    The level to reach is, in each seed, the worse of the two final values, which both methods
    reached. `tolerance` is relative.
    """

    dense: str
    compressed: str
    expected: float
    metric: MetricName = "train_loss"
    cost: BitsColumn | Literal["step"] = "step"
    """A column of bits, or rounds."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.dense, self.compressed)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        ratios = pd.Series(self._ratios(results.frame), dtype="float64")
        if ratios.empty:
            return Finding(Verdict.INCONCLUSIVE, reason="no seed that both methods completed")
        estimate = statistics.mean_interval(ratios)
        margin = self.tolerance * self.expected
        decision = statistics.decide_within(estimate, self.expected, margin)
        verdict = decision.verdict
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        what = "rounds" if self.cost == "step" else "bits"
        detail = f"{what} to the worse final {METRICS[self.metric].name}, {len(ratios)} seeds"
        return Finding(verdict, estimate, "×", detail, reason, decision.p)

    def _ratios(self, frame: pd.DataFrame) -> dict[int, float]:
        metric = METRICS[self.metric]
        frame = frame[frame["label"].isin(self.labels)]
        finals = measure.per_run(frame, metric.column).dropna(subset="value")
        found = {}
        for seed, part in finals.groupby("seed"):
            if set(part["label"]) != set(self.labels):
                continue
            level = part["value"].min() if metric.rising else part["value"].max()
            level = max(level, metric.floor)
            mine = frame[frame["seed"] == seed]
            crossing = measure.first_crossing(
                mine, metric.column, level, self.cost, rising=metric.rising
            ).set_index("label")["value"]
            found[int(str(seed))] = float(crossing[self.dense] / crossing[self.compressed])
        return found
