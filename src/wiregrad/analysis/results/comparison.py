"""Two methods of one experiment, compared seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wiregrad.analysis.results import aggregate, measure, statistics
from wiregrad.analysis.results.metrics import Metric
from wiregrad.analysis.results.statistics import Decision, Estimate, Verdict
from wiregrad.core.errors import ConfigError


@dataclass(frozen=True)
class Comparison:
    """Two methods compared seed by seed, by the mean of left − right or of log(left/right)."""

    titles: tuple[str, str]
    estimate: Estimate
    means: tuple[float, float]
    """Means of the metric over seeds, left and right."""
    failed: tuple[float, float]
    """Shares of the runs that diverged, left and right."""
    sides: tuple[Estimate, Estimate]
    """The metric of each side with its interval over seeds, left and right."""

    def decided(
        self, decision: Decision, if_left_fails: Verdict, if_right_fails: Verdict
    ) -> Decision:
        """`decision`, unless runs diverged.

        Where all runs of one side and none of the other diverged, the verdict given for that side;
        otherwise inconclusive. Neither has a p-value.
        """
        if self.failed == (0.0, 0.0):
            return decision
        fallen = {(1.0, 0.0): if_left_fails, (0.0, 1.0): if_right_fails}
        return Decision(fallen.get(self.failed, Verdict.INCONCLUSIVE))


def compare(
    results: aggregate.Results,
    left: str,
    right: str,
    metric: Metric,
    *,
    at: measure.At,
    workers: int | None,
    ratio: bool,
) -> Comparison:
    """Compare the methods `left` and `right` by `metric` at `at`, in the results of one experiment.

    Raises ConfigError when a method has several runs of one seed, which `workers` tells apart.
    """
    sides = []
    for label in (left, right):
        frame = results.frame[results.frame["label"] == label]
        if workers is not None:
            frame = frame[frame["workers"] == workers]
        table = measure.per_run(frame, metric.column, at)
        if table["seed"].duplicated().any():
            raise ConfigError(
                f"experiment {results.groups[0].experiment!r}, method {label!r}: several runs of "
                "one seed; give the check args.workers"
            )
        sides.append(table.set_index("seed"))
    values = [side["value"].clip(lower=metric.floor) * metric.factor for side in sides]
    estimate = statistics.paired_difference(values[0], values[1], ratio=ratio)
    failed = [float(side["diverged"].mean()) if len(side) else math.nan for side in sides]
    means = (float(values[0].mean()), float(values[1].mean()))
    alone = [statistics.mean_interval(value) for value in values]
    groups = [results.group(label) for label in (left, right)]
    titles = [group.title if group else "" for group in groups]
    return Comparison(
        (titles[0], titles[1]),
        estimate,
        means,
        (failed[0], failed[1]),
        (alone[0], alone[1]),
    )


def why_undecided(estimate: Estimate, pair_failed: Sequence[float] = (0.0, 0.0)) -> str:
    """Why nothing can be concluded from an estimate."""
    if any(pair_failed):
        shares = " and ".join(f"{share:.0%}" for share in pair_failed)
        return f"runs diverged: {shares} of the two methods'"
    if estimate.n == 0:
        return "no seed has a value for all methods"
    if estimate.n == 1:
        return "one seed gives no interval"
    return "the interval does not decide it"
