"""What the checks on single runs with stale or compressed gradients share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wiregrad.analysis.claims.spec import Check
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run


@dataclass(frozen=True, kw_only=True)
class RunsCheck(Check):
    """Base of the checks on the runs of some methods of one experiment."""

    spends: ClassVar[bool] = False

    methods: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return self.methods

    def runs(self, results: Results) -> list[Run]:
        """The runs of the methods, in their order."""
        return list(asynchrony.runs(results, self.methods))


def mean(values: Sequence[float]) -> float:
    """The mean of one value a run; NaN of none."""
    return float(np.mean(values)) if values else math.nan
