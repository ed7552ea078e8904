"""Checks on sweeps, and on the runs at the points that won: bits, and never seconds.

Bits to a tolerance are exact counts, so that one seed decides; of several, means are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import ClassVar

import numpy as np

from wiregrad.analysis.claims.checks import Check, Finding, checks
from wiregrad.analysis.figures import bounds
from wiregrad.analysis.results import aggregate
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.analysis.results.sweeps import BOOKS, Books

Tiers = tuple[tuple[str, ...], ...]
SHOWN = 4
"""Significant digits of a quantity in a detail."""


def _titles(results: aggregate.Results, label: str) -> str:
    group = results.group(label)
    return group.title if group else label


def _bits(results: aggregate.Results, label: str, books: Books) -> float:
    """Uplink bits to the tolerance; infinite where it was never met, NaN without a sweep."""
    group = results.group(label)
    return math.nan if group is None or group.sweep is None else group.sweep.bits(books)


def _number(value: float) -> str:
    if math.isnan(value):
        return "no sweep"
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def _exact(value: float, results: aggregate.Results, label: str) -> Estimate:
    group = results.group(label)
    seeds = max(1, group.seeds) if group else 1
    return Estimate(value, value, value, seeds)


def _ratio(costly: float, cheap: float) -> float:
    """What `costly` is of `cheap`; a run that never met the tolerance is dearer than any."""
    if math.isinf(costly) and math.isinf(cheap):
        return math.nan
    return costly / cheap


@dataclass(frozen=True, kw_only=True)
class _Order(Check):
    """Every label of a tier beats every one of the next by a factor above 1 + `tolerance`."""

    spends: ClassVar[bool] = False

    order: Tiers
    or_equal: bool = False
    """Whether a factor of exactly 1 + `tolerance` will do."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(label for tier in self.order for label in tier)

    def judged(
        self,
        results: aggregate.Results,
        value: Callable[[str], float],
        what: str,
        text: Callable[[float], str],
    ) -> Finding:
        """The finding, where less of `value` is better."""
        values = {label: value(label) for label in self.labels}
        listed = ", ".join(f"{_titles(results, k)} {text(v)}" for k, v in values.items())
        pairs = [
            (_ratio(values[later], values[first]), later)
            for tier, following in zip(self.order, self.order[1:], strict=False)
            for first, later in product(tier, following)
        ]
        detail = f"{what}: {listed}"
        if any(math.isnan(ratio) for ratio, _ in pairs):
            why = "two methods that were compared never met the tolerance, or were not swept"
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, why)
        ratio, label = min(pairs)
        need = 1 + self.tolerance
        held = ratio >= need if self.or_equal else ratio > need
        verdict = Verdict.REPRODUCED if held else Verdict.NOT_REPRODUCED
        return Finding(verdict, _exact(ratio, results, label), "×", detail)


@checks.register("sweep_order")
@dataclass(frozen=True, kw_only=True)
class SweepOrder(_Order):
    """The order of uplink bits to the tolerance, each method at the best point of its sweep.

    The effect is the smallest factor between a method and one of the tier before.
    """

    books: Books = "paper"

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        what = f"bits a worker to the tolerance, {BOOKS[self.books][1]}"
        return self.judged(results, lambda label: _bits(results, label, self.books), what, _number)


@checks.register("equal_bits")
@dataclass(frozen=True, kw_only=True)
class EqualBits(_Order):
    """The order of ‖∇f‖² when `bits` uplink bits a worker (values only) are used up.

    Of each run it is the last logged round within them; a run that needs fewer counts at its end.
    """

    bits: float

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""

        def value(label: str) -> float:
            mine = results.frame[results.frame["label"] == label]
            mine = mine[mine["outcome"] != "diverged"].dropna(subset="grad_norm")
            within = mine[mine["uplink_bits_paper"] <= self.bits]
            ends = within.sort_values("step").groupby("run_id")["grad_norm"].last()
            return float((ends**2).mean()) if len(ends) else math.inf

        what = f"‖∇f‖² at {self.bits:,.0f} bits a worker"
        return self.judged(results, value, what, lambda v: f"{v:.{SHOWN - 1}g}")


@checks.register("sweep_tracks")
@dataclass(frozen=True, kw_only=True)
class SweepTracks(Check):
    """`followers` need as many uplink bits to the tolerance as `leader`, to a factor.

    The factor is 1 + `tolerance`, up or down; the effect is the ratio that is furthest from 1.
    """

    spends: ClassVar[bool] = False

    followers: tuple[str, ...]
    leader: str
    books: Books = "paper"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.followers, self.leader)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        base = _bits(results, self.leader, self.books)
        values = {label: _bits(results, label, self.books) for label in self.followers}
        listed = ", ".join(f"{_titles(results, k)} {_number(v)}" for k, v in values.items())
        detail = f"bits a worker: {_titles(results, self.leader)} {_number(base)}; {listed}"
        found = {label: _ratio(value, base) for label, value in values.items()}
        if not math.isfinite(base) or any(math.isnan(ratio) for ratio in found.values()):
            why = f"{_titles(results, self.leader)} never met the tolerance, or was not swept"
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, why)
        label = max(found, key=lambda key: abs(math.log(found[key])))
        near = abs(math.log(found[label])) <= math.log1p(self.tolerance)
        verdict = Verdict.REPRODUCED if near else Verdict.NOT_REPRODUCED
        return Finding(verdict, _exact(found[label], results, label), "×", detail)


@checks.register("sweep_bits")
@dataclass(frozen=True, kw_only=True)
class SweepBits(Check):
    """Uplink bits to the tolerance are the `expected` ones, to a relative `tolerance`.

    With `at_most` fewer will do as well. The effect is the ratio that is furthest off.
    """

    spends: ClassVar[bool] = False

    expected: Mapping[str, float] = field(default_factory=dict)
    at_most: bool = False
    books: Books = "paper"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(self.expected)

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        found = {label: _bits(results, label, self.books) for label in self.expected}
        detail = ", ".join(
            f"{_titles(results, label)} {_number(value)} against {self.expected[label]:,.0f}"
            for label, value in found.items()
        )
        off = {label: value / self.expected[label] - 1 for label, value in found.items()}
        if any(math.isnan(value) for value in off.values()):
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, "not swept")
        worst = max(off, key=lambda key: off[key] if self.at_most else abs(off[key]))
        held = (off[worst] if self.at_most else abs(off[worst])) <= self.tolerance
        verdict = Verdict.REPRODUCED if held else Verdict.NOT_REPRODUCED
        return Finding(verdict, _exact(1 + off[worst], results, worst), "×", detail)


@checks.register("below_bound")
@dataclass(frozen=True, kw_only=True)
class BelowBound(Check):
    """What a theorem bounds stays at or below its bound in every round of every run.

    The effect is the largest measured/bound; it must not exceed 1 + `tolerance`.
    """

    methods: tuple[str, ...]
    regime: bounds.Regime = "nonconvex"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return self.methods

    def evaluate(self, results: aggregate.Results) -> Finding:
        """See Check."""
        found = bounds.ratios(results, self.methods, self.regime)
        listed = ", ".join(f"{_titles(results, k)} {v:.3g}" for k, v in found.items())
        detail = f"largest measured/bound: {listed}"
        if set(found) != set(self.methods) or not np.isfinite(list(found.values())).all():
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, "a run diverged")
        worst = max(found, key=lambda key: found[key])
        held = found[worst] <= 1 + self.tolerance
        verdict = Verdict.REPRODUCED if held else Verdict.NOT_REPRODUCED
        return Finding(verdict, _exact(found[worst], results, worst), "×", detail)
