"""Verdicts on claims at a scale.

A claim says what budget the paper had. Where a scale gives less, its check is still computed and
shown, but the verdict is "not tested at this scale", with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiregrad.analysis.claims.catalogue import parse
from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.spec import Check, Finding
from wiregrad.analysis.results.aggregate import Results, not_run
from wiregrad.analysis.results.statistics import UNKNOWN, Verdict
from wiregrad.core.errors import ConfigError

if TYPE_CHECKING:
    from wiregrad.studies.plan import Plan

BUDGET_SLACK = 0.995
"""A run counts as complete from this share of the budget: a last partial batch may be dropped."""


@dataclass(frozen=True)
class Judged:
    """A claim with the finding on it: one row of the verdict table."""

    paper: str
    id: str
    statement: str
    where: str
    paper_value: str
    verdict: str
    effect: float
    low: float
    high: float
    unit: str
    seeds: int
    tolerance: float
    budget: str
    detail: str
    reason: str
    check: str
    experiment: str

    @property
    def observed(self) -> str:
        """Effect and interval as text; a dash where there is none."""
        if not math.isfinite(self.effect):
            return "—"
        text = f"{self.effect:.3g}"
        if math.isfinite(self.low) and self.low < self.high:
            text += f" [{self.low:.3g}, {self.high:.3g}]"
        text += f" {self.unit}" if self.unit else ""
        return text.replace("-", "−")


def judge(claim: Claim, paper: str, results: Results) -> Judged:
    """The verdict on one claim of `paper`, from the results of a scale."""
    check = claim.build(paper)
    mine = results.of(paper, check.experiment)
    absent = _absent(check, mine)
    if absent:
        return _row(claim, paper, check, Finding(Verdict.NOT_TESTED, reason=absent), "")
    finding = check.evaluate(mine)
    budget, short = _budget(claim, check, mine)
    reasons = [reason for reason in (_scale_reason(claim, results.scale), short) if reason]
    if reasons:
        finding = Finding(
            Verdict.NOT_TESTED, finding.estimate, finding.unit, finding.detail, "; ".join(reasons)
        )
    return _row(claim, paper, check, finding, budget)


def judge_all(plan: Plan, results: Results) -> list[Judged]:
    """The verdicts on all claims of the plan's papers, in the order of their files.

    Raises ConfigError when a claim names a method that is no label.
    """
    for name, paper in plan.papers.items():
        for claim in parse(paper):
            unknown = set(claim.build(name).labels) - set(plan.methods)
            if unknown:
                raise ConfigError(
                    f"config/papers/{name}: claims.{claim.id}.args: unknown label "
                    f"{min(unknown)!r} (known: {', '.join(plan.methods)})"
                )
    return [
        judge(claim, name, results) for name, paper in plan.papers.items() for claim in parse(paper)
    ]


def _scale_reason(claim: Claim, scale: str) -> str:
    if claim.scales == "all" or scale in claim.scales:
        return ""
    return claim.otherwise or f"testable at scale {' or '.join(claim.scales)}"


def _absent(check: Check, mine: Results) -> str:
    """Why there is nothing to check; empty when every method has runs."""
    if not mine.groups:
        return f"not run: experiment {check.experiment!r} is not part of scale {mine.scale}"
    reasons: dict[str, list[str]] = {}
    for label in check.labels:
        group = mine.group(label)
        if group is None:
            reasons.setdefault("not run: not part of the experiment", []).append(label)
        elif not group.cards:
            reasons.setdefault(not_run(group.reason), []).append(label)
    if sum(map(len, reasons.values())) == len(check.labels) and len(reasons) == 1:
        return next(iter(reasons))
    return "; ".join(f"{', '.join(who)}: {why}" for why, who in reasons.items())


def _budget(claim: Claim, check: Check, mine: Results) -> tuple[str, str]:
    """The budget that was spent, e.g. "5 of 20 epochs", and how it falls short (or "")."""
    frame = mine.frame[mine.frame["label"].isin(check.labels)]
    completed = frame[frame["outcome"] == "completed"]
    spent = completed.groupby(["label", "run_id"])[["epoch", "samples", "step"]].max()
    items = claim.budget.items()
    if not items and not check.spends:
        return "", ""
    if not items or spent.empty:
        reached = float(spent["epoch"].min()) if len(spent) else 0.0
        return (f"{reached:.3g} epochs" if reached else ""), ""
    got = {column: float(spent[column].min()) for _, column, _ in items}
    for key, column, amount in items:  # the first part of the budget that is missed is named
        if got[column] < BUDGET_SLACK * amount:
            whose = "the" if claim.budget.ours else "the paper's"
            least = f"{_count(amount)} {key}"
            return f"{_count(got[column])} of {least}", f"{_count(got[column])} of {whose} {least}"
    key, column, amount = items[0]
    return f"{_count(got[column])} of {_count(amount)} {key}", ""


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _row(claim: Claim, paper: str, check: Check, finding: Finding, budget: str) -> Judged:
    estimate = finding.estimate or UNKNOWN
    return Judged(
        paper=paper,
        id=claim.id,
        statement=" ".join(claim.statement.split()),
        where=claim.where,
        paper_value=claim.paper_value,
        verdict=str(finding.verdict),
        effect=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=finding.unit,
        seeds=estimate.n,
        tolerance=claim.tolerance,
        budget=budget,
        detail=finding.detail,
        reason=finding.reason,
        check=claim.check,
        experiment=check.experiment,
    )
