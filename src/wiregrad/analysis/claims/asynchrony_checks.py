"""Checks on stale and compressed gradients: rounds, bits and floors against theory's quantities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from wiregrad.analysis.claims.checks import Check, Finding, checks
from wiregrad.analysis.results import aggregate, statistics
from wiregrad.analysis.results import asynchrony as measured
from wiregrad.analysis.results.asynchrony import Run
from wiregrad.analysis.results.statistics import Estimate, Verdict


@dataclass(frozen=True, kw_only=True)
class _OfRuns(Check):
    """Base of the checks on the runs of some methods of one experiment."""

    spends: ClassVar[bool] = False

    methods: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return self.methods

    def _runs(self, results: aggregate.Results) -> list[Run]:
        return list(measured.runs(results, self.methods))


def _decided(held: bool, estimate: Estimate, unit: str, detail: str) -> Finding:
    verdict = Verdict.REPRODUCED if held else Verdict.NOT_REPRODUCED
    return Finding(verdict, estimate, unit, detail)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _titled(runs: Sequence[Run]) -> str:
    return runs[0].group.title


@checks.register("rounds_grow")
@dataclass(frozen=True, kw_only=True)
class RoundsGrow(_OfRuns):
    """Rounds until `column` is at or below `below` grow with `along`, each run at its own step.

    Runs that are alike but for `along`, the seed and, with `pooled`, the method, are one sequence.
    In each, a larger value never needs fewer rounds by more than the share `tolerance`, nor has a
    larger step, and the largest needs over `least` times the rounds of the smallest; a run that
    never got there needs more than any that did. The effect is the smallest such factor.
    """

    along: str
    column: str = "grad_norm"
    below: float
    least: float = 1.0
    pooled: bool = False
    apart: tuple[str, ...] = ()
    """Settings that runs of one sequence share."""

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        factors, listed, orderly = [], [], True
        for name, points in self._sequences(results):
            values, rounds, steps = zip(*points, strict=True)
            if len(points) < 2 or math.isinf(rounds[0]):
                why = f"{name}: the smallest {self.along} never got to {self.below:g}"
                return Finding(Verdict.INCONCLUSIVE, None, "×", "", why)
            factors.append(rounds[-1] / rounds[0])
            orderly &= all(b >= a * (1 - self.tolerance) for a, b in pairwise(rounds))
            orderly &= all(b <= a * (1 + 1e-9) for a, b in pairwise(steps))
            pairs = zip(values, rounds, strict=True)
            listed.append(f"{name}: " + ", ".join(f"{v:.3g}: {r:.0f}" for v, r in pairs))
        if not factors:
            return Finding(Verdict.INCONCLUSIVE, reason=f"no run has {self.along}")
        least, seeds = min(factors), max(1, min(g.seeds for g in results.groups if g.cards))
        detail = f"rounds to {self.column} {self.below:g} by {self.along}: {'; '.join(listed)}"
        estimate = Estimate(least, least, least, seeds)
        return _decided(orderly and least > self.least, estimate, "×", detail)

    def _sequences(
        self, results: aggregate.Results
    ) -> Iterator[tuple[str, list[tuple[float, float, float]]]]:
        """Name, and (value, mean rounds, mean step) by rising value, of each sequence."""
        cells: dict[tuple[str, ...], dict[float, list[Run]]] = {}
        for run in self._runs(results):
            value = run.setting(self.along)
            if value is not None:
                who = "" if self.pooled else run.group.title
                key = tuple(t for t in (who, *(str(run.setting(k)) for k in self.apart)) if t)
                cells.setdefault(key, {}).setdefault(float(value), []).append(run)
        for key, cell in cells.items():
            points = []
            for value in sorted(cell):
                rounds = _mean(
                    [measured.rounds_until(r, self.column, self.below) for r in cell[value]]
                )
                step = _mean([float(r.card.config["method"]["lr"]) for r in cell[value]])
                points.append((value, rounds, step))
            yield " ".join(key) or "all", points


@checks.register("bits_to_gap")
@dataclass(frozen=True, kw_only=True)
class BitsToGap(_OfRuns):
    """`methods` need fewer uplink bits than `dense` until f − f* is a share `below` of the first.

    The effect is the smallest factor between them; it must be above 1 + `tolerance`.
    """

    dense: str
    below: float

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.methods, self.dense)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        bits = {
            label: _mean([measured.bits_until(run, self.below) for run in of])
            for label in self.labels
            if (of := list(measured.runs(results, (label,))))
        }
        base = bits[self.dense]
        if not math.isfinite(base):
            return Finding(Verdict.INCONCLUSIVE, reason=f"{self.dense} never got to {self.below:g}")
        factors = {label: base / bits[label] for label in self.methods}
        titles = {g.label: g.title for g in results.groups}
        listed = ", ".join(f"{titles[k]} {v:,.0f}" for k, v in bits.items())
        worst = min(factors.values())
        detail = f"uplink bits a worker until the gap is {self.below:g} of the first: {listed}"
        estimate = Estimate(worst, worst, worst, max(1, min(g.seeds for g in results.groups)))
        return _decided(worst > 1 + self.tolerance, estimate, "×", detail)


@checks.register("floor_slope")
@dataclass(frozen=True, kw_only=True)
class FloorSlope(_OfRuns):
    """The gap at which runs stall is proportional to the step: log-log slope 1 ± `tolerance`.

    Of each run the mean over the last third of its rounds; one fit a seed and method.
    """

    expected: float = 1.0

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for run in self._runs(results):
            point = (float(run.card.config["method"]["lr"]), measured.plateau(run))
            if math.isfinite(point[1]) and point[1] > 0:
                found.setdefault((run.label, run.card.seed), []).append(point)
        slopes = [
            statistics.loglog_slope([lr for lr, _ in points], [gap for _, gap in points]).value
            for points in found.values()
            if len({lr for lr, _ in points}) >= 3
        ]
        if not slopes:
            return Finding(Verdict.INCONCLUSIVE, reason="fewer than three steps with a floor")
        estimate = statistics.mean_interval(slopes)
        verdict = statistics.judge_within(estimate, self.expected, self.tolerance)
        if len(slopes) == 1:
            near = abs(slopes[0] - self.expected) <= self.tolerance
            verdict = Verdict.REPRODUCED if near else Verdict.NOT_REPRODUCED
        points = sorted(next(iter(found.values())))
        detail = "floors by step: " + ", ".join(f"{lr:.3g}: {v:.3g}" for lr, v in points)
        reason = "seeds disagree" if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "slope", detail, reason)


@checks.register("fewer_rounds_on")
@dataclass(frozen=True, kw_only=True)
class FewerRoundsOn(_OfRuns):
    """Every method needs fewer rounds on data named `quick`… than on `slow`…, at its own steps.

    Rounds until f − f* is a share `below` of the first. The effect is the smallest factor; it must
    be above 1 + `tolerance`.
    """

    quick: str
    slow: str
    below: float

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        factors, listed = [], []
        for label in self.methods:
            mine = list(measured.runs(results, (label,)))
            rounds = {
                data: _mean(
                    [
                        measured.rounds_until(run, "gap", self.below)
                        for run in mine
                        if str(run.setting("problem.data")).startswith(data)
                    ]
                )
                for data in (self.quick, self.slow)
            }
            if not math.isfinite(rounds[self.quick]):
                why = f"{label} never got to {self.below:g} on {self.quick}"
                return Finding(Verdict.INCONCLUSIVE, reason=why)
            factors.append(rounds[self.slow] / rounds[self.quick])
            numbers = f"{rounds[self.quick]:.0f} against {rounds[self.slow]:.0f}"
            listed.append(f"{_titled(mine)} {numbers}")
        worst = min(factors)
        estimate = Estimate(worst, worst, worst, max(1, min(g.seeds for g in results.groups)))
        detail = f"rounds, {self.quick} against {self.slow}: {', '.join(listed)}"
        return _decided(worst > 1 + self.tolerance, estimate, "×", detail)


@checks.register("below_stale_bound")
@dataclass(frozen=True, kw_only=True)
class BelowStaleBound(_OfRuns):
    """f − f* stays at or below the bound of its theorem at every logged round, mean over seeds.

    The effect is the largest measured/bound; it must not exceed 1 + `tolerance`. Gaps below 1e-9
    of the first are rounding, and left out.
    """

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        worst: dict[str, float] = {}
        groups: dict[tuple[object, ...], list[Run]] = {}
        for run in self._runs(results):
            if run.diverged:
                return Finding(Verdict.NOT_REPRODUCED, reason=f"{run.group.title} diverged")
            t = run.card.theory
            groups.setdefault((run.label, *map(t.get, ("tau", "multiple", "step"))), []).append(run)
        for (label, *_), some in groups.items():
            found = measured.bounds(some[0])
            if found is None:
                continue
            length = min(len(run.gaps) for run in some)
            gaps = np.mean([run.gaps[:length] for run in some], axis=0)
            ratios = (gaps / found[0][:length])[gaps > 1e-9]
            name = str(label)
            worst[name] = max(float(ratios.max(initial=0.0)), worst.get(name, 0.0))
        if not worst:
            return Finding(Verdict.INCONCLUSIVE, reason="no run is within a theorem")
        titles = {g.label: g.title for g in results.groups}
        listed = ", ".join(f"{titles[k]} {v:.3g}" for k, v in worst.items())
        largest = max(worst.values())
        estimate = Estimate(largest, largest, largest, len(next(iter(groups.values()))))
        return _decided(
            largest <= 1 + self.tolerance, estimate, "×", f"largest measured/bound: {listed}"
        )


@checks.register("sooner")
@dataclass(frozen=True, kw_only=True)
class Sooner(_OfRuns):
    """On the simulated clock `methods` reach `target` sooner when messages are applied at once.

    Runs with ``runtime.apply: each`` against ``all``, paired by seed; the effect is the smallest
    factor of a method's mean times, which must be above 1 + `tolerance`.
    """

    target: float
    column: str = "metric_test"
    rising: bool = True

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        factors, listed = [], []
        for label in self.methods:
            times: dict[str, list[float]] = {"each": [], "all": []}
            mine = list(measured.runs(results, (label,)))
            for run in mine:
                apply = str(run.setting("runtime.apply"))
                if apply in times:
                    seconds = measured.seconds_until(
                        run, self.column, self.target, rising=self.rising
                    )
                    times[apply].append(seconds)
            each, every = _mean(times["each"]), _mean(times["all"])
            if math.isnan(each) or math.isnan(every) or (math.isinf(each) and math.isinf(every)):
                why = f"{label}: neither way reached {self.target:g}, or one was not run"
                return Finding(Verdict.INCONCLUSIVE, reason=why)
            factors.append(every / each)
            listed.append(f"{_titled(mine)} {each:.3g} s against {every:.3g} s")
        worst = min(factors)
        seeds = max(1, min(g.seeds for g in results.groups if g.label in self.methods))
        detail = f"simulated seconds to {self.column} {self.target:g}: {', '.join(listed)}"
        return _decided(
            worst > 1 + self.tolerance, Estimate(worst, worst, worst, seeds), "×", detail
        )
