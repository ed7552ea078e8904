"""Checks on what crosses both links: bits to a loss, losses at equal bits, errors, rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.claims.checks import Better, Check, Finding, checks
from wiregrad.analysis.figures import rates
from wiregrad.analysis.results import aggregate, measure, statistics
from wiregrad.analysis.results.pairs import METRICS, MetricName, short_number, why_undecided
from wiregrad.analysis.results.statistics import Estimate, Verdict

Books = Literal[
    "uplink_bits_paper",
    "uplink_bits_wire",
    "total_bits_paper",
    "total_bits_wire",
    "all_bits_once",
    "all_bits_each",
]
"""Which bits: columns of histories and of `wiregrad.analysis.derived`."""


@checks.register("bits_to_loss")
@dataclass(frozen=True, kw_only=True)
class BitsToLoss(Check):
    """`dense` needs `expected` times the bits of `compressed` to the same level of a metric.

    The level is, in each seed, the worse of the two final values: both reached it. `tolerance` is
    relative.
    """

    dense: str
    compressed: str
    expected: float
    metric: MetricName = "train_loss"
    bits: Books = "total_bits_paper"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.dense, self.compressed)

    def evaluate(self, results: aggregate.Results) -> Finding:
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


@checks.register("ahead_per_bit")
@dataclass(frozen=True, kw_only=True)
class AheadPerBit(Better):
    """As `better`, at equal bits: as many as the run that sent least had sent at its end."""

    bits: Books = "total_bits_paper"

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        mine = results.frame[results.frame["label"].isin(self.labels)]
        mine = mine[mine["outcome"] != "diverged"]
        spent = mine.groupby(["label", "seed"])[self.bits].max()
        if spent.empty:
            return Finding(Verdict.INCONCLUSIVE, reason="every run diverged")
        plain = Better(
            experiment=self.experiment,
            tolerance=self.tolerance,
            better=self.better,
            worse=self.worse,
            metric=self.metric,
            at={self.bits: float(spent.min())},
            workers=self.workers,
            ratio=self.ratio,
        )
        found = plain.evaluate(results)
        detail = f"at {float(spent.min()):.3g} bits: {found.detail}"
        return Finding(found.verdict, found.estimate, found.unit, detail, found.reason)


@checks.register("error_falls")
@dataclass(frozen=True, kw_only=True)
class ErrorFalls(Check):
    """The relative compression error of `falling` falls over training, that of `flat` does not.

    Judged is the slope of the logarithm of the error on that of the round, fitted in each seed:
    below −`tolerance` is falling. The effect is the slope of `falling` that is nearest to it.
    """

    falling: tuple[str, ...]
    flat: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.falling, *self.flat)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        found = {label: self._slope(results.frame, label) for label in self.labels}
        verdicts = [
            statistics.judge_above(found[label].scaled(-1), self.tolerance)
            for label in self.falling
        ]
        verdicts += [statistics.judge_above(found[label], -self.tolerance) for label in self.flat]
        verdict = statistics.all_of(verdicts)
        titles = {group.label: group.title for group in results.groups}
        detail = "slopes of the error: " + ", ".join(
            f"{titles[label]} {short_number(estimate.value)}" for label, estimate in found.items()
        )
        worst = max((found[label] for label in self.falling), key=_by_value)
        reason = ""
        if verdict is Verdict.INCONCLUSIVE:
            reason = why_undecided(list(found.values())[verdicts.index(verdict)])
        return Finding(verdict, worst, "slope", detail, reason)

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


@checks.register("rate")
@dataclass(frozen=True, kw_only=True)
class Rate(Check):
    """The slope of log mean ‖∇f‖² on log T is `expected` or steeper, up to `tolerance`.

    Of runs of different lengths T; see `wiregrad.analysis.rates`.
    """

    label: str
    expected: float = -0.5

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.label,)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        table = rates.averages(results.frame[results.frame["label"] == self.label])
        if table["value"].isna().any():
            failed = int(table["value"].isna().sum())
            return Finding(Verdict.INCONCLUSIVE, reason=f"{failed} of {len(table)} runs diverged")
        estimate = rates.slope(table)
        if estimate.n == 0:
            return Finding(Verdict.NOT_TESTED, reason="fewer than three horizons")
        bound = -(self.expected + self.tolerance)
        verdict = statistics.judge_above(estimate.scaled(-1), bound)
        median = table.groupby("horizon")["value"].median()
        listed = ", ".join(f"T={int(np.asarray(t))}: {v:.3g}" for t, v in median.items())
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "slope", f"mean ‖∇f‖²: {listed}", reason)
