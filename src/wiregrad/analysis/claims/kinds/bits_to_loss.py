"""How many times fewer bits a method needs to the same metric: the check `bits_to_loss`."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.results import measure, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.comparison import why_undecided
from wiregrad.analysis.results.metrics import METRICS, BitsColumn, MetricName
from wiregrad.analysis.results.statistics import Verdict


@checks.register("bits_to_loss")
@dataclass(frozen=True, kw_only=True)
class BitsToLoss(Check):
    """The method `dense` needs `expected` times the bits of `compressed` to the same metric.

    The level to reach is, in each seed, the worse of the two final values, which both methods
    reached. `tolerance` is relative.
    """

    dense: str
    compressed: str
    expected: float
    metric: MetricName = "train_loss"
    bits: BitsColumn = "total_bits_paper"
    """The column of bits that are compared."""

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
        verdict = statistics.judge_within(estimate, self.expected, margin)
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        detail = f"bits to the worse final {METRICS[self.metric].name}, {len(ratios)} seeds"
        return Finding(verdict, estimate, "×", detail, reason)

    def _ratios(self, frame: pd.DataFrame) -> dict[int, float]:
        metric = METRICS[self.metric]
        frame = frame[frame["label"].isin(self.labels)]
        finals = measure.per_run(frame, metric.column).dropna(subset="value")
        found = {}
        for seed, part in finals.groupby("seed"):
            if set(part["label"]) != set(self.labels):
                continue
            level = part["value"].min() if metric.rising else part["value"].max()
            mine = frame[frame["seed"] == seed]
            crossing = measure.first_crossing(
                mine, metric.column, level, self.bits, rising=metric.rising
            ).set_index("label")["value"]
            found[int(str(seed))] = float(crossing[self.dense] / crossing[self.compressed])
        return found
