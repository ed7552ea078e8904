"""What the checks on sweeps share: bits to a tolerance, and the order of methods by a quantity.

Bits to a tolerance are exact counts, so one seed decides; of several seeds, means are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from wiregrad.analysis.claims.spec import Check, Finding
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.analysis.results.sweeps import Convention

Tiers = tuple[tuple[str, ...], ...]
"""Labels in tiers: those of the first are to beat those of the second, and so on."""


def bits_to_tolerance(results: Results, label: str, convention: Convention) -> float:
    """Uplink bits to the tolerance; infinite where it was never met, NaN without a sweep."""
    group = results.group(label)
    return math.nan if group is None or group.sweep is None else group.sweep.bits(convention)


def bits_text(value: float) -> str:
    """What `bits_to_tolerance` gave, in words."""
    if math.isnan(value):
        return "no sweep"
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def seeds_of(results: Results, label: str) -> int:
    """The number of seeds of a method."""
    group = results.group(label)
    return group.seeds if group else 1


def factor(costly: float, cheap: float) -> float:
    """`costly` over `cheap`; infinite where only `costly` is, NaN where both never got there."""
    if math.isinf(costly) and math.isinf(cheap):
        return math.nan
    return costly / cheap


@dataclass(frozen=True, kw_only=True)
class OrderCheck(Check):
    """Base: each method of a tier beats each of the next by a factor above 1 + `tolerance`."""

    spends: ClassVar[bool] = False

    order: Tiers
    """Labels in tiers, the best tier first."""
    or_equal: bool = False
    """Whether a factor of exactly 1 + `tolerance` will do."""

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(label for tier in self.order for label in tier)

    def judged(
        self,
        results: Results,
        value: Callable[[str], float],
        what: str,
        text: Callable[[float], str],
    ) -> Finding:
        """The finding on the order of `value` by label, of which less is better.

        `what` and `text` say in the detail what the value is, and print one.
        """
        values = {label: value(label) for label in self.labels}
        listed = ", ".join(f"{results.title(k)} {text(v)}" for k, v in values.items())
        pairs = [
            (factor(values[later], values[first]), later)
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
        return Finding(
            Verdict.of(held), Estimate.exact(ratio, seeds_of(results, label)), "×", detail
        )
