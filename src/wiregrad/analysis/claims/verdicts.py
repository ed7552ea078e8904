"""Claims as data, and the verdicts on them at a scale.

A claim names a check and what the paper's budget was. Where a scale gives less, the check is still
computed and shown, but the verdict is "not tested at this scale", with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pydantic

from wiregrad.analysis.claims import asynchrony_checks as _asynchrony  # noqa: F401
from wiregrad.analysis.claims import checks, link_checks  # noqa: F401  (they register)
from wiregrad.analysis.claims import sweep_checks as _sweeps  # noqa: F401
from wiregrad.analysis.results.aggregate import Results, known_experiment, not_run
from wiregrad.analysis.results.statistics import Estimate, Verdict
from wiregrad.core.errors import ConfigError
from wiregrad.core.files import write_json, write_text
from wiregrad.core.validation import checked

if TYPE_CHECKING:
    from wiregrad.studies.plan import Plan
    from wiregrad.studies.schema import Paper

BUDGET_SLACK = 0.995
"""A run counts as complete from this share of the budget: a last partial batch may be dropped."""


class Budget(pydantic.BaseModel):
    """What a run must at least have spent for a claim to be tested."""

    model_config = pydantic.ConfigDict(extra="forbid")

    epochs: float | None = None
    samples: float | None = None
    steps: float | None = None
    ours: bool = False
    """Whether it is ours: the task is not the paper's, or what it spent is not known."""

    def items(self) -> list[tuple[str, str, float]]:
        """(key, history column, amount) of each bound that is set."""
        columns = {"epochs": "epoch", "samples": "samples", "steps": "step"}
        return [(k, column, float(v)) for k, column in columns.items() if (v := getattr(self, k))]


class Claim(pydantic.BaseModel):
    """One claim of a paper, as written in `claims:` of its configuration."""

    model_config = pydantic.ConfigDict(extra="forbid")

    id: str
    statement: str
    where: str
    paper_value: str
    check: str
    args: dict[str, Any]
    tolerance: float = 0.0
    why: str = ""
    """Why this tolerance."""
    scales: list[str] | Literal["all"] = "all"
    otherwise: str = ""
    """Why it cannot be tested at the other scales."""
    budget: Budget = Budget()

    def build(self, paper: str) -> checks.Check:
        """The check, with the claim's arguments; ConfigError names the claim and the key."""
        where = f"config/papers/{paper}: claims.{self.id}"
        if self.check not in checks.checks:
            known = ", ".join(checks.checks)
            raise ConfigError(f"{where}.check: {self.check!r} is no check (known: {known})")
        if "tolerance" in self.args:
            raise ConfigError(f"{where}.args.tolerance: belongs to the claim, beside args")
        return checks.build(self.check, self.args | {"tolerance": self.tolerance}, f"{where}.args")


@dataclass(frozen=True)
class Judged:
    """One row of the verdict table."""

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


def parse(paper: Paper) -> list[Claim]:
    """The claims of a paper's configuration; ConfigError names the claim and the key."""
    where = f"config/papers/{paper.paper}: claims"
    found: list[Claim] = []
    for position, entry in enumerate(paper.claims):
        name = f"{where}.{entry.get('id', position)}"
        claim = checked(Claim, entry, name)
        known_experiment(paper, claim.build(paper.paper).experiment, f"{name}.args.experiment")
        if any(claim.id == other.id for other in found):
            raise ConfigError(f"{where}: id {claim.id!r} is used twice")
        found.append(claim)
    return found


def judge(claim: Claim, paper: str, results: Results) -> Judged:
    """The verdict on one claim, from the results of its scale."""
    check = claim.build(paper)
    mine = results.of(paper, check.experiment)
    absent = _absent(check, mine)
    if absent:
        return _row(claim, paper, check, checks.Finding(Verdict.NOT_TESTED, reason=absent), "")
    finding = check.evaluate(mine)
    budget, short = _budget(claim, check, mine)
    reasons = [reason for reason in (_scale_reason(claim, results.scale), short) if reason]
    if reasons:
        finding = checks.Finding(
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


def _absent(check: checks.Check, mine: Results) -> str:
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


def _budget(claim: Claim, check: checks.Check, mine: Results) -> tuple[str, str]:
    """The budget beside the verdict, e.g. "5 of 20 epochs", and how it falls short (or "")."""
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
    for key, column, amount in items:  # the first bound that is missed says it
        if got[column] < BUDGET_SLACK * amount:
            whose = "the" if claim.budget.ours else "the paper's"
            least = f"{_count(amount)} {key}"
            return f"{_count(got[column])} of {least}", f"{_count(got[column])} of {whose} {least}"
    key, column, amount = items[0]
    return f"{_count(got[column])} of {_count(amount)} {key}", ""


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _row(
    claim: Claim, paper: str, check: checks.Check, finding: checks.Finding, budget: str
) -> Judged:
    estimate = finding.estimate or Estimate(math.nan, math.nan, math.nan, 0)
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


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """The verdicts as a table, one row a claim."""
    names = list(Judged.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in judged], columns=names)


def markdown(judged: Sequence[Judged], scale: str) -> str:
    """The verdict table for people, in Markdown."""
    rows = [
        {
            "claim": row.id,
            "statement": row.statement,
            "paper": row.paper_value,
            "observed, 95 % interval": row.observed + (f" ({row.detail})" if row.detail else ""),
            "seeds": row.seeds or "—",
            "budget": row.budget or "—",
            "verdict": f"**{row.verdict}**" + (f": {row.reason}" if row.reason else ""),
        }
        for row in judged
    ]
    body = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) if rows else ""
    return f"# Claims at scale {scale}\n\n{summary(judged)}\n\n{body}\n"


def summary(judged: Sequence[Judged]) -> str:
    """One line that counts the verdicts and names the claims that this scale tests."""
    counts = {v: sum(row.verdict == v for row in judged) for v in Verdict}
    tested = [row.id for row in judged if row.verdict != Verdict.NOT_TESTED]
    counted = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    named = f" Tested: {', '.join(tested)}." if tested else ""
    return f"{len(judged)} claims: {counted or 'none'}.{named}"


def write(judged: Sequence[Judged], scale: str, out: Path) -> list[Path]:
    """Write claims.csv, claims.md and claims.json under `out`, each atomically."""
    rows = [
        {
            k: (None if isinstance(v, float) and not math.isfinite(v) else v)
            for k, v in asdict(row).items()
        }
        for row in judged
    ]
    paths = [out / f"claims.{ending}" for ending in ("csv", "md", "json")]
    write_text(paths[0], table(judged).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], markdown(judged, scale))
    write_json(paths[2], {"scale": scale, "summary": summary(judged), "claims": rows})
    return paths
