"""The gap at which runs stall is proportional to the step: the check `floor_slope`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.analysis.claims.runs import RunsCheck, mean
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony, statistics
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Verdict


@checks.register("floor_slope")
@dataclass(frozen=True, kw_only=True)
class FloorSlope(RunsCheck):
    """The log-log slope of the gap at which runs stall against their step is `expected`.

    It may differ by `tolerance`. The gap of a run is the mean over the last third of its rounds. A
    slope is fitted for each method and seed; a seed counts once, with the mean of its methods.
    """

    expected: float = 1.0

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for run in self.runs(results):
            point = (float(run.card.config["method"]["lr"]), asynchrony.plateau(run))
            if math.isfinite(point[1]) and point[1] > 0:
                found.setdefault((run.label, run.card.seed), []).append(point)
        by_seed: dict[int, list[float]] = {}
        for (_, seed), points in found.items():
            if len({lr for lr, _ in points}) >= 3:
                fit = statistics.loglog_slope([lr for lr, _ in points], [gap for _, gap in points])
                by_seed.setdefault(seed, []).append(fit.value)
        if not by_seed:
            return Finding(Verdict.INCONCLUSIVE, reason="fewer than three steps with a floor")
        slopes = [mean(fits) for fits in by_seed.values()]
        estimate = statistics.mean_interval(slopes)
        decision = statistics.decide_within(estimate, self.expected, self.tolerance)
        verdict = decision.verdict
        if len(slopes) == 1:
            near = abs(slopes[0] - self.expected) <= self.tolerance
            verdict = Verdict.of(near)
        points = sorted(next(iter(found.values())))
        detail = "floors by step: " + ", ".join(f"{lr:.3g}: {v:.3g}" for lr, v in points)
        reason = "seeds disagree" if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, estimate, "slope", detail, reason, decision.p)
