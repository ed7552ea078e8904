"""The named checks that claims refer to. Each takes the results of one paper and gives a finding.

A check is a frozen dataclass; its fields are the claim's `args` and `tolerance`. It reads
histories only: bits, rounds, losses, accuracies, never seconds.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.results import aggregate, measure, statistics
from wiregrad.analysis.results.pairs import (
    METRICS,
    Metric,
    MetricName,
    Pair,
    compare,
    short_number,
    why_undecided,
)
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.core.registry import Registry


@dataclass(frozen=True)
class Finding:
    """What a check saw: verdict, effect with its interval and unit, what was measured, and why."""

    verdict: Verdict
    estimate: Estimate | None = None
    unit: str = ""
    detail: str = ""
    reason: str = ""


checks: Registry[Check] = Registry("check")


@dataclass(frozen=True, kw_only=True)
class Check(abc.ABC):
    """Base of all checks."""

    spends: ClassVar[bool] = True
    """Whether what runs spent says how far they went; not so where they stop by themselves."""

    experiment: str
    tolerance: float = 0.0

    @property
    @abc.abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The methods whose runs the check reads."""

    @abc.abstractmethod
    def evaluate(self, results: aggregate.Results) -> Finding:
        """The finding on the results of `self.experiment`; every label has at least one run."""

    def spec(self) -> dict[str, Any]:
        """The fields, for tables and JSON."""
        return dataclasses.asdict(self)


@checks.register("within")
@dataclass(frozen=True, kw_only=True)
class Within(Check):
    """`left` and `right` differ by at most `tolerance` (in the metric's unit), paired by seed."""

    left: str
    right: str
    metric: MetricName = "accuracy"
    at: Literal["final"] | dict[str, float] = "final"
    workers: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.left, self.right)

    def evaluate(self, results: aggregate.Results) -> Finding:
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


@checks.register("better")
@dataclass(frozen=True, kw_only=True)
class Better(Check):
    """Every method of `better` beats every one of `worse` by more than `tolerance`.

    With `ratio` the metric of `worse` over that of `better` (or the reverse where more is better)
    must exceed `tolerance`, for example 1.5. The effect shown is that of the closest pair.
    """

    better: tuple[str, ...]
    worse: tuple[str, ...]
    metric: MetricName = "train_loss"
    at: Literal["final"] | dict[str, float] = "final"
    workers: int | None = None
    ratio: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.better, *self.worse)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        metric = METRICS[self.metric]
        judged = []
        for good in self.better:
            for bad in self.worse:
                pair = compare(results, good, bad, metric, **self._how())
                judged.append((self._advantage(pair, metric), pair))
        verdicts = [self._judge(advantage, pair) for advantage, pair in judged]
        verdict = statistics.all_of(verdicts)
        known = [item for item in judged if math.isfinite(item[0].value)]
        estimate, pair = min(known or judged, key=lambda item: item[0].value)
        values = {t: m for _, p in judged for t, m in zip(p.titles, p.means, strict=True)}
        listed = ", ".join(f"{title} {short_number(value)}" for title, value in values.items())
        reason = ""
        if verdict is Verdict.INCONCLUSIVE:
            first = verdicts.index(verdict)
            reason = why_undecided(judged[first][0], judged[first][1].failed)
            reason += f" ({' against '.join(judged[first][1].titles)})"
        unit = "×" if self.ratio else metric.unit
        return Finding(verdict, estimate, unit, f"{metric.name}: {listed}", reason)

    def _how(self) -> dict[str, Any]:
        return {"at": self.at, "workers": self.workers, "ratio": self.ratio}

    def _advantage(self, pair: Pair, metric: Metric) -> Estimate:
        advantage = pair.estimate.scaled(metric.sign)
        if not self.ratio:
            return advantage
        low, value, high = (math.exp(x) for x in (advantage.low, advantage.value, advantage.high))
        return Estimate(value, low, high, advantage.n)

    def _judge(self, advantage: Estimate, pair: Pair) -> Verdict:
        return pair.judged(
            statistics.judge_above(advantage, self.tolerance),
            if_left_fails=Verdict.NOT_REPRODUCED,
            if_right_fails=Verdict.REPRODUCED,
        )


@checks.register("bits_ratio")
@dataclass(frozen=True, kw_only=True)
class BitsRatio(Check):
    """`dense` sends `expected` times the bits of `compressed` on a link at equal epochs.

    Counted by `convention`; the other convention's figure stands beside it. `tolerance` is
    relative. Bits are exact counts, so one seed is enough and the interval is their range.
    """

    dense: str
    compressed: str
    expected: float
    convention: Literal["paper", "wire"] = "paper"
    link: Literal["uplink", "downlink"] = "uplink"
    workers: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.dense, self.compressed)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        other = {"paper": "wire", "wire": "paper"}[self.convention]
        ratios = self._ratios(results.frame, self.convention)
        beside = self._ratios(results.frame, other)
        if ratios.size == 0:
            return Finding(Verdict.INCONCLUSIVE, reason="no epoch that both methods reached")
        estimate = Estimate(
            float(np.median(ratios)), float(ratios.min()), float(ratios.max()), ratios.size
        )
        margin = self.tolerance * self.expected
        verdict = statistics.judge_within(estimate, self.expected, margin)
        named = {"paper": "in the paper's convention", "wire": "on the wire"}
        detail = (
            f"{estimate.value:.1f}× {named[self.convention]}, "
            f"{float(np.median(beside)):.1f}× {named[other]}"
        )
        reason = "seeds disagree" if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "×", detail, reason)

    def _ratios(
        self, frame: pd.DataFrame, convention: str
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = f"{self.link}_bits_{convention}"
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        frame = frame[frame["step"] > 0]
        sides = {
            label: frame[frame["label"] == label].pivot_table(
                index="seed", columns="step", values=column, aggfunc="last"
            )
            for label in self.labels
        }
        dense, compressed = sides[self.dense], sides[self.compressed]
        seeds = dense.index.intersection(compressed.index)
        ratios = []
        for seed in seeds:
            both = pd.DataFrame({"d": dense.loc[seed], "c": compressed.loc[seed]}).dropna()
            if len(both):  # the last step that both logged
                ratios.append(float(both["d"].iloc[-1] / both["c"].iloc[-1]))
        return np.asarray(ratios, dtype=np.float64)


@checks.register("speedup")
@dataclass(frozen=True, kw_only=True)
class Speedup(Check):
    """The log-log slope of iterations-to-target against n is `expected` ± `tolerance`.

    The slope is fitted in each seed, and the interval is taken over seeds. `paper_points` are the
    paper's iterations for each n: a run that is shorter and misses the target tests nothing.
    """

    label: str
    target: float
    metric: MetricName = "train_loss"
    expected: float = -1.0
    paper_points: dict[int, float] = dataclasses.field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (self.label,)

    def evaluate(self, results: aggregate.Results) -> Finding:
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
        estimate = statistics.mean_interval(slopes(table))
        verdict = statistics.judge_within(estimate, self.expected, self.tolerance)
        median = table.groupby("workers")["value"].median()
        listed = ", ".join(f"n={n}: {value:.0f}" for n, value in median.items())
        reason = why_undecided(estimate) if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(
            verdict, estimate, "slope", f"iterations to {self.target:g}: {listed}", reason
        )

    def _censored(self, missed: pd.DataFrame, runs: int, metric: Metric) -> Finding:
        needed = missed["workers"].map(self.paper_points).fillna(0.0).astype("float64")
        short = bool((missed["spent"] < needed).any())
        where = ", ".join(f"n={n}" for n in sorted(missed["workers"].unique()))
        return Finding(
            Verdict.NOT_TESTED if short else Verdict.INCONCLUSIVE,
            reason=f"{metric.name} {self.target:g} not reached in {len(missed)} of {runs} runs "
            f"({where})" + ("; they were shorter than the paper's" if short else ""),
        )


def slopes(table: pd.DataFrame) -> pd.Series:
    """The log-log slope of `value` on `workers` in each seed; for tables of `first_crossing`."""
    fits = {
        seed: statistics.loglog_slope(part["workers"].to_numpy(), part["value"].to_numpy()).value
        for seed, part in table.dropna(subset="value").groupby("seed")
        if part["workers"].nunique() >= 2
    }
    return pd.Series(fits, dtype="float64")


def build(name: str, args: Mapping[str, Any], where: str) -> Check:
    """The check `name` with `args`; ConfigError names `where` and the key that is wrong."""
    return checks.build({"name": name, **args}, where)
