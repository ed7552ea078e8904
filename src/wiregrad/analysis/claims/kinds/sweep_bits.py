"""Bits to a tolerance are the paper's: the check `sweep_bits`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from wiregrad.analysis.claims.spec import Check, Finding, checks
from wiregrad.analysis.claims.sweeps import (
    bits_text,
    bits_to_tolerance,
    seeds_of,
)
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.analysis.results.sweeps import Convention


@checks.register("sweep_bits")
@dataclass(frozen=True, kw_only=True)
class SweepBits(Check):
    """Each method needs the `expected` uplink bits to a gradient norm, at its sweep's best point.

    `tolerance` is relative. The effect is the ratio furthest from 1.
    """

    spends: ClassVar[bool] = False

    expected: Mapping[str, float] = field(default_factory=dict)
    """Bits by label."""
    at_most: bool = False
    """Whether fewer bits will do as well."""
    convention: Convention = "paper"

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return tuple(self.expected)

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        found = {
            label: bits_to_tolerance(results, label, self.convention) for label in self.expected
        }
        detail = ", ".join(
            f"{results.title(label)} {bits_text(value)} against {self.expected[label]:,.0f}"
            for label, value in found.items()
        )
        off = {label: value / self.expected[label] - 1 for label, value in found.items()}
        if any(math.isnan(value) for value in off.values()):
            return Finding(Verdict.INCONCLUSIVE, None, "×", detail, "not swept")
        worst = max(off, key=lambda key: off[key] if self.at_most else abs(off[key]))
        held = (off[worst] if self.at_most else abs(off[worst])) <= self.tolerance
        verdict = Verdict.of(held)
        return Finding(
            verdict, Estimate.exact(1 + off[worst], seeds_of(results, worst)), "×", detail
        )
