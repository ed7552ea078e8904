"""Intervals over seeds, slopes, and the rules that turn an interval into a verdict.

Intervals over seeds are Student's t intervals of a mean, two-sided at 95 %. Equality within a
margin is decided by two one-sided tests at 5 %, which is the same as a look at the 90 % interval.
Every such decision has a p-value, so that a family of claims can be corrected together (`holm`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.special
import scipy.stats

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
"""The error that a test may make."""

Floats = npt.NDArray[np.float64]


class Verdict(StrEnum):
    """What a claim's check concludes."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    UNSETTLED = "tuning not settled"
    NOT_TESTED = "not tested at this scale"

    @classmethod
    def of(cls, held: bool) -> Verdict:
        """The verdict on a statement that exact numbers decide."""
        return cls.REPRODUCED if held else cls.NOT_REPRODUCED


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, from `n` seeds; its ends are NaN where `n` is too small."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def exact(cls, value: float, n: int = 1) -> Estimate:
        """A value without spread, such as a count of bits, from `n` seeds (at least one)."""
        return cls(value, value, value, max(1, n))

    @property
    def half_width(self) -> float:
        """The larger distance from the value to an end."""
        return max(self.value - self.low, self.high - self.value)

    def scaled(self, factor: float) -> Estimate:
        """The estimate times `factor`; a negative factor swaps the ends."""
        ends = sorted((self.low * factor, self.high * factor))
        return Estimate(self.value * factor, ends[0], ends[1], self.n)


UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)
"""No value, from no seed."""


def mean_interval(
    values: Sequence[float] | Floats | pd.Series, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of one value per seed, with Student's t interval.

    Values that are not finite are left out; with one value the interval is unknown (NaN).
    """
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    n = sample.size
    if n == 0:
        return UNKNOWN
    mean = float(sample.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    error = float(sample.std(ddof=1) / math.sqrt(n))
    reach = _student(confidence, n - 1) * error
    return Estimate(mean, mean - reach, mean + reach, n)


def _student(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t: 4.30 for 95 % and two degrees of freedom."""
    return float(scipy.special.stdtrit(freedom, 0.5 + confidence / 2))


def paired(left: pd.Series, right: pd.Series) -> pd.DataFrame:
    """Two series by seed as one frame with columns `left` and `right`, of their common seeds."""
    return pd.DataFrame({"left": left, "right": right}).dropna().sort_index()


def paired_difference(
    left: pd.Series, right: pd.Series, *, ratio: bool = False, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of left − right over the seeds that both have; of log(left/right) if `ratio`.

    Pairing by seed removes what the methods share: the initial point and the order of the data.
    """
    both = paired(left, right)
    if ratio:
        both = both[(both > 0).all(axis=1)].apply(np.log)
    return mean_interval(both["left"] - both["right"], confidence)


def loglog_slope(
    x: Sequence[float] | Floats, y: Sequence[float] | Floats, confidence: float = CONFIDENCE
) -> Estimate:
    """Least-squares slope of log y on log x; `n` is the number of points.

    The interval is the t interval of the regression (NaN with two points). Raises ValueError when
    a value is not positive or there are fewer than two different x.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not ((xs > 0).all() and (ys > 0).all()):
        raise ValueError("a log-log fit takes positive values only")
    if np.unique(xs).size < 2:
        raise ValueError("a log-log fit takes at least two different x")
    logs = np.log(ys)
    fit = scipy.stats.linregress(np.log(xs), logs)
    slope = float(fit.slope)
    if xs.size < 3:
        return Estimate(slope, math.nan, math.nan, xs.size)
    # A constant y has no correlation, from which scipy derives the error.
    error = 0.0 if np.ptp(logs) == 0.0 else float(fit.stderr)
    reach = _student(confidence, xs.size - 2) * error
    return Estimate(slope, slope - reach, slope + reach, xs.size)


def judge_within(estimate: Estimate, centre: float, margin: float) -> Verdict:
    """Is the quantity within `centre` ± `margin`?

    Reproduced when the whole interval is inside, not reproduced when the whole of it is outside.
    """
    if not _known(estimate):
        return Verdict.INCONCLUSIVE
    if centre - margin <= estimate.low and estimate.high <= centre + margin:
        return Verdict.REPRODUCED
    if estimate.high < centre - margin or estimate.low > centre + margin:
        return Verdict.NOT_REPRODUCED
    return Verdict.INCONCLUSIVE


def judge_above(estimate: Estimate, bound: float) -> Verdict:
    """Is the quantity above `bound`? Decided when the whole interval lies on one side."""
    if not _known(estimate):
        return Verdict.INCONCLUSIVE
    if estimate.low > bound:
        return Verdict.REPRODUCED
    if estimate.high < bound:
        return Verdict.NOT_REPRODUCED
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Decision:
    """What a test says about a statement, with its p-value.

    `p` is that of the verdict; where the test decides nothing, of the verdict that it came closest
    to. It is NaN where the verdict does not come from a t-test, for example where runs diverged.
    """

    verdict: Verdict
    p: float = math.nan


def decide_above(estimate: Estimate, bound: float) -> Decision:
    """`judge_above` with the two-sided p-value of "the mean is `bound`"."""
    return Decision(judge_above(estimate, bound), 2 * _tail(estimate, bound))


def decide_within(estimate: Estimate, centre: float, margin: float) -> Decision:
    """Is the mean within `centre` ± `margin`? Two one-sided tests at 5 %.

    Reproduced when the 90 % interval is inside. Not reproduced when the 95 % interval is outside.
    The estimate is one of `mean_interval` at 95 %.
    """
    ends = (centre - margin, centre + margin)
    inside = ends[0] < estimate.value < ends[1]
    nearest = max(_tail(estimate, end) for end in ends)
    p = nearest if inside else 2 * nearest
    if math.isnan(p):
        return Decision(Verdict.INCONCLUSIVE)
    if p >= LEVEL:
        return Decision(Verdict.INCONCLUSIVE, p)
    return Decision(Verdict.of(inside), p)


def _tail(estimate: Estimate, bound: float) -> float:
    """The one-sided p-value of "the mean is `bound`" from a t interval at 95 %; NaN without one."""
    if not _known(estimate) or estimate.n < 2:
        return math.nan
    freedom = estimate.n - 1
    error = (estimate.high - estimate.low) / 2 / _student(CONFIDENCE, freedom)
    distance = abs(estimate.value - bound)
    if error == 0.0:
        return 0.0 if distance > 0 else 0.5
    return float(scipy.special.stdtr(freedom, -distance / error))


def decide_all(parts: Sequence[Decision]) -> Decision:
    """The decision on a claim all of whose parts must hold.

    It is reproduced when every part is, which needs no correction: its p-value is the largest. It
    is not reproduced when a part fails after Bonferroni's correction for the number of parts.
    """
    count = len(parts)
    failed = [part for part in parts if part.verdict is Verdict.NOT_REPRODUCED]
    sure = [part for part in failed if not part.p * count >= LEVEL]  # a p-value of NaN is sure
    if sure:
        p_values = [part.p for part in sure]
        return Decision(
            Verdict.NOT_REPRODUCED, math.nan if np.isnan(p_values).any() else min(p_values) * count
        )
    verdict = all_of([Verdict.INCONCLUSIVE if part in failed else part.verdict for part in parts])
    return Decision(verdict, max((p.p for p in parts if not math.isnan(p.p)), default=math.nan))


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which tests of a family are significant after Holm's correction, in the given order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    kept = [False] * len(p_values)
    for rank, i in enumerate(order):
        if not p_values[i] < level / (len(p_values) - rank):
            break
        kept[i] = True
    return kept


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim all of whose parts must hold; not tested if there are none."""
    order = (Verdict.NOT_REPRODUCED, Verdict.NOT_TESTED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED)
    return next((v for v in order if v in verdicts), Verdict.NOT_TESTED)


def _known(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)
