"""What the checks on sweeps share: bits to a tolerance, and the order of methods over levels.

Bits are exact counts, so one seed decides; of several seeds, means are compared.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import ClassVar

import numpy as np

from wiregrad.analysis.claims.order import Side, by_levels, side_of
from wiregrad.analysis.claims.spec import Check, Finding
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict, all_of
from wiregrad.analysis.results.sweeps import BITS, Convention

Tiers = tuple[tuple[str, ...], ...]
"""Labels in tiers: those of the first are to beat those of the second, and so on."""
TOLERANCES = tuple(10 ** (-3 - half / 2) for half in range(7))
"""Bounds on ‖∇f‖ at which orders are judged: 1e-3 to 1e-6 in half decades."""
_FINE = tuple(10 ** (-3 - place / 20) for place in range(61))
"""The bounds over which the area between two curves is taken."""


@dataclass(frozen=True)
class Bits:
    """Bits to a level: a number, or only that more than `least` are needed."""

    value: float = math.nan
    least: float = 0.0

    @property
    def known(self) -> bool:
        """Whether the level was reached."""
        return math.isfinite(self.value)


def bits_to_tolerance(results: Results, label: str, convention: Convention) -> float:
    """Uplink bits to the sweep's tolerance; infinite where never met, NaN without a sweep."""
    group = results.group(label)
    return math.nan if group is None or group.sweep is None else group.sweep.bits(convention)


def bits_to(results: Results, label: str, tolerance: float, convention: Convention) -> Bits:
    """Uplink bits until ‖∇f‖ was at most `tolerance`, of the run at the sweep's best point.

    At the sweep's own tolerance the sweep itself counts. A run that did not get there needs more
    bits than it has spent. Of several seeds the mean, if all got there.
    """
    group = results.group(label)
    if group is None or group.sweep is None:
        return Bits()
    own = group.sweep.bits(convention)
    if math.isclose(tolerance, group.sweep.tolerance, rel_tol=1e-6) and math.isfinite(own):
        return Bits(own)
    column = BITS[convention][0]
    mine = results.frame[results.frame["label"] == label]
    if column not in mine:
        return Bits()
    found, spent = [], []
    for _, run in mine.sort_values("step").groupby("run_id"):
        met = run.loc[run["grad_norm"] <= tolerance * (1 + 1e-9), column]
        found.append(float(met.iloc[0]) if len(met) else math.nan)
        spent.append(float(run[column].max()))
    return Bits(float(np.mean(found)), min(spent)) if found else Bits()


def bits_text(value: float) -> str:
    """Bits to a tolerance in words."""
    if math.isnan(value):
        return "no sweep"
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def seeds_of(results: Results, label: str) -> int:
    """The number of seeds of a method."""
    group = results.group(label)
    return group.seeds if group else 1


def ratio(dear: Bits, cheap: Bits, need: float = 1.0) -> float:
    """How many times the bits of `cheap` `dear` needs; NaN where that cannot be told.

    Where one of them did not get there, its bits so far are a lower bound. The ratio to that bound
    is given where the bound already tells on which side of `need` the ratio is.
    """
    if dear.known and cheap.known:
        return dear.value / cheap.value
    if cheap.known and side_of(dear.least / cheap.value, need) is Side.FOR:
        return dear.least / cheap.value
    against = dear.known and cheap.least > 0
    if against and side_of(dear.value / cheap.least, need) is Side.AGAINST:
        return dear.value / cheap.least
    return math.nan


def area(factors: Sequence[float]) -> float:
    """The area between two curves as a factor: the geometric mean of the factors that are known."""
    known = [math.log(f) for f in factors if math.isfinite(f) and f > 0]
    return math.exp(float(np.mean(known))) if known else math.nan


@dataclass(frozen=True)
class Pair:
    """One pair of an order: what was found on it."""

    verdict: Verdict
    reason: str
    factor: float
    """By area."""
    label: str
    """The method that is claimed to be the worse."""


@dataclass(frozen=True, kw_only=True)
class LevelsCheck(Check, abc.ABC):
    """Base of the checks that compare pairs of methods at several levels."""

    spends: ClassVar[bool] = False
    what: ClassVar[str] = "tolerances"

    @abc.abstractmethod
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs (claimed to be better, claimed to be worse)."""

    def judged(
        self,
        results: Results,
        pairs: Sequence[Pair],
        detail: str,
    ) -> Finding:
        """The finding on all pairs, each of which must hold; the effect is the smallest factor."""
        verdict = all_of([pair.verdict for pair in pairs])
        known = [pair for pair in pairs if math.isfinite(pair.factor)]
        if not known:
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, pairs[0].reason)
        worst = min(known, key=lambda pair: pair.factor)
        shown = Estimate.exact(worst.factor, seeds_of(results, worst.label))
        open_ = [pair.reason for pair in pairs if pair.verdict is Verdict.INCONCLUSIVE]
        reason = "; ".join(open_) if verdict is Verdict.INCONCLUSIVE else ""
        return Finding(verdict, shown, "×", detail, reason)

    def compared(
        self,
        results: Results,
        pair: tuple[str, str],
        factors: Callable[[Sequence[float]], list[float]],
        levels: tuple[Sequence[float], Sequence[float]],
        need: float,
    ) -> Pair:
        """A pair, from its factors at the levels that are judged and at those of the area."""
        sides = [side_of(factor, need) for factor in factors(levels[0])]
        between = area(factors(levels[1]))
        verdict, reason = by_levels(sides, side_of(between, need), self.what)
        titles = " and ".join(map(results.title, pair))
        return Pair(verdict, reason and f"{titles}: {reason}", between, pair[1])


@dataclass(frozen=True, kw_only=True)
class ToleranceCheck(LevelsCheck, abc.ABC):
    """Base of the checks on bits to tolerances, at the best points of sweeps."""

    convention: Convention = "paper"

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        labels = list(dict.fromkeys(self.labels))
        own = {label: bits_to_tolerance(results, label, self.convention) for label in labels}
        listed = ", ".join(f"{results.title(k)} {bits_text(v)}" for k, v in own.items())
        detail = f"bits a worker to the tolerance, {BITS[self.convention][1]}: {listed}"
        if all(math.isnan(v) for v in own.values()):
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, "not swept")
        return self.judged(results, [self._pair(results, pair) for pair in self.pairs()], detail)

    @abc.abstractmethod
    def factor(self, better: Bits, worse: Bits) -> float:
        """The factor of a pair that is claimed to be above `need`; NaN where it is unknown."""

    @property
    def need(self) -> float:
        """What the factors must exceed."""
        return 1 + self.tolerance

    def _pair(self, results: Results, pair: tuple[str, str]) -> Pair:
        def factors(levels: Sequence[float]) -> list[float]:
            bits = [
                [bits_to(results, label, level, self.convention) for level in levels]
                for label in pair
            ]
            return [self.factor(*both) for both in zip(*bits, strict=True)]

        found = self.compared(results, pair, factors, (TOLERANCES, _FINE), self.need)
        spikes = [results.title(label) for label in pair if self._spike(results, label)]
        if not spikes:
            return found
        whose = " and ".join(spikes)
        reason = f"the crossing of {whose} is not shared by its neighbours in the grid"
        return Pair(Verdict.INCONCLUSIVE, reason, found.factor, found.label)

    def _spike(self, results: Results, label: str) -> bool:
        group = results.group(label)
        return bool(group and group.sweep and group.sweep.isolated(self.convention))


def tier_pairs(order: Tiers) -> list[tuple[str, str]]:
    """Every method of a tier with every method of the next."""
    return [pair for tier, following in pairwise(order) for pair in product(tier, following)]
