"""Intervals over seeds, slopes, and the rules that turn an interval into a verdict.

Every interval is two-sided at one level, `CONFIDENCE`. For an equivalence margin this is stricter
than the usual two one-sided tests, which look at the 90 % interval.
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
BOOTSTRAP_FROM = 10
"""Number of seeds from which the bootstrap replaces Student's t."""

Floats = npt.NDArray[np.float64]


class Verdict(StrEnum):
    """What a claim's check concludes."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
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
    """Mean of one value per seed: Student's t interval below ten seeds, BCa bootstrap from ten.

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
    if error == 0.0:  # the bootstrap's interval of equal values is NaN
        return Estimate(mean, mean, mean, n)
    if n < BOOTSTRAP_FROM:
        reach = _student(confidence, n - 1) * error
        return Estimate(mean, mean - reach, mean + reach, n)
    low, high = _bootstrap(sample, confidence)
    return Estimate(mean, low, high, n)


def _student(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t: 4.30 for 95 % and two degrees of freedom."""
    return float(scipy.special.stdtrit(freedom, 0.5 + confidence / 2))


def _bootstrap(sample: Floats, confidence: float) -> tuple[float, float]:
    interval = scipy.stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        n_resamples=9999,
        method="BCa",
        rng=np.random.default_rng(0),  # the same histories give the same interval
    ).confidence_interval
    return float(interval.low), float(interval.high)


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


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim all of whose parts must hold; not tested if there are none."""
    order = (Verdict.NOT_REPRODUCED, Verdict.NOT_TESTED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED)
    return next((v for v in order if v in verdicts), Verdict.NOT_TESTED)


def _known(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)
