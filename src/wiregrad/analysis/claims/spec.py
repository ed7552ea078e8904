"""The base class of checks, their registry, and what a check finds.

A check is a frozen dataclass in a module of `claims.kinds` that registers itself. Its fields are
the `args` of a claim, and the claim's `tolerance`. It reads bits, rounds, losses and accuracies
from histories, and never wall-clock time.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.core.registry import Registry

checks: Registry[Check] = Registry("check")


@dataclass(frozen=True)
class Finding:
    """What a check found in the results of one experiment."""

    verdict: Verdict
    estimate: Estimate | None = None
    """The effect, with its interval over seeds."""
    unit: str = ""
    """Of the effect: points, ×, slope, or none."""
    detail: str = ""
    """What was measured, with the numbers of each method."""
    reason: str = ""
    """Why there is no verdict, or why the statement failed without numbers."""
    p: float = math.nan
    """The p-value of the verdict, where a t-test gave it."""


@dataclass(frozen=True, kw_only=True)
class Check(abc.ABC):
    """Base of all checks."""

    spends: ClassVar[bool] = True
    """Whether what runs spent is shown beside the verdict; not where runs stop by themselves."""

    experiment: str
    tolerance: float = 0.0

    @property
    @abc.abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The methods whose runs the check reads."""

    @abc.abstractmethod
    def evaluate(self, results: Results) -> Finding:
        """The finding on the results of `self.experiment`, in which every label has a run."""
