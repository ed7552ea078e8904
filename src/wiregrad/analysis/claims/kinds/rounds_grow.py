"""Rounds to a tolerance grow with a setting: the check `rounds_grow`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from wiregrad.analysis.claims.runs import RunsCheck, mean
from wiregrad.analysis.claims.spec import Finding, checks
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run
from wiregrad.analysis.results.statistics import Estimate, Verdict


@checks.register("rounds_grow")
@dataclass(frozen=True, kw_only=True)
class RoundsGrow(RunsCheck):
    """Rounds until a column falls to `below` grow with a setting, each run at its own step.

    The runs of a method are one sequence, with means over its seeds; of values of the setting that
    have the same step the smallest counts. In each sequence a larger value of the setting never
    needs fewer rounds (by more than the share `tolerance`) and never has a larger step, and the
    largest value needs over `least` times the rounds of the smallest. A run that never got there
    needs more rounds than any that did. The effect is the smallest ratio of last to first.
    """

    along: str
    """The setting: a dotted key of the run's configuration or of ``theory``."""
    column: str = "grad_norm"
    """A column of histories, or ``gap``."""
    below: float
    least: float = 1.0
    pooled: bool = False
    """Whether runs of different methods are one sequence."""
    apart: tuple[str, ...] = ()
    """Further settings, by dotted key, that the runs of a sequence share."""

    def evaluate(self, results: Results) -> Finding:
        """See Check."""
        factors, listed, orderly = [], [], True
        for name, points in self._sequences(results):
            values, rounds, steps = zip(*points, strict=True)
            if len(points) < 2 or math.isinf(rounds[0]):
                why = f"{name}: the smallest {self.along} never got to {self.below:g}"
                if len(points) < 2:
                    why = f"{name}: every {self.along} has the same step"
                return Finding(Verdict.INCONCLUSIVE, None, "×", "", why)
            factors.append(rounds[-1] / rounds[0])
            orderly &= all(b >= a * (1 - self.tolerance) for a, b in pairwise(rounds))
            orderly &= all(b <= a * (1 + 1e-9) for a, b in pairwise(steps))
            pairs = zip(values, rounds, strict=True)
            listed.append(f"{name}: " + ", ".join(f"{v:.3g}: {r:.0f}" for v, r in pairs))
        if not factors:
            return Finding(Verdict.INCONCLUSIVE, reason=f"no run has {self.along}")
        least, seeds = min(factors), min(g.seeds for g in results.groups if g.cards)
        detail = f"rounds to {self.column} {self.below:g} by {self.along}: {'; '.join(listed)}"
        held = orderly and least > self.least
        return Finding(Verdict.of(held), Estimate.exact(least, seeds), "×", detail)

    def _sequences(
        self, results: Results
    ) -> Iterator[tuple[str, list[tuple[float, float, float]]]]:
        """Name, and (value, mean rounds, mean step) by rising value, of each sequence."""
        cells: dict[tuple[str, ...], dict[float, list[Run]]] = {}
        for run in self.runs(results):
            value = run.setting(self.along)
            if value is not None:
                who = "" if self.pooled else run.group.title
                key = tuple(t for t in (who, *(str(run.setting(k)) for k in self.apart)) if t)
                cells.setdefault(key, {}).setdefault(float(value), []).append(run)
        for key, cell in cells.items():
            points: list[tuple[float, float, float]] = []
            for value in sorted(cell):
                rounds = mean(
                    [asynchrony.rounds_until(r, self.column, self.below) for r in cell[value]]
                )
                step = mean([float(r.card.config["method"]["lr"]) for r in cell[value]])
                if not points or not math.isclose(step, points[-1][2], rel_tol=1e-9):
                    points.append((value, rounds, step))
            yield " ".join(key) or "all", points
