"""report.html: one self-contained page of verdicts, figures, tables, gaps and provenance."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from wiregrad import __version__
from wiregrad.analysis.claims.catalogue import parse as parse_claims
from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.judge import Judged, judge_all
from wiregrad.analysis.figures.catalogue import parse as parse_figures
from wiregrad.analysis.figures.render import data_names, ensure, why_empty
from wiregrad.analysis.figures.spec import FigureSpec
from wiregrad.analysis.report.gaps import Gap, by_reason, claim_left_out, left_out
from wiregrad.analysis.results import aggregate
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.analysis.tables.catalogue import parse as parse_tables
from wiregrad.analysis.tables.render import notes, text
from wiregrad.core.files import write_text

if TYPE_CHECKING:
    from wiregrad.studies.plan import Plan
    from wiregrad.studies.schema import Experiment, Paper


def environment() -> jinja2.Environment:
    """The templates of the package; inserted text is escaped unless marked safe."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("wiregrad.analysis.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True)
class PaperPart:
    """What the page shows of one paper."""

    name: str
    paper: Paper
    results: Results
    verdicts: list[Judged]
    pictures: Path

    @cached_property
    def claims_by_id(self) -> dict[str, Claim]:
        """The claims as the configuration has them, by id."""
        return {claim.id: claim for claim in parse_claims(self.paper)}

    @cached_property
    def tried(self) -> list[Judged]:
        """The verdicts on claims for which this scale plans runs."""
        return [row for row in self.verdicts if row.id not in self._untried]

    @cached_property
    def claims_left_out(self) -> list[Gap]:
        """The ids of the other claims."""
        return by_reason((row.reason, row.id) for row in self.verdicts if row.id in self._untried)

    @cached_property
    def _untried(self) -> set[str]:
        return {
            row.id
            for row in self.verdicts
            if claim_left_out(self.claims_by_id[row.id], row, self.results)
        }

    @cached_property
    def drawn(self) -> list[dict[str, str]]:
        """Id, title, caption and SVG (base64) of every figure that has runs."""
        return [self._figure(name, spec) for name, spec, mine in self._specs() if mine]

    @cached_property
    def not_drawn(self) -> list[tuple[str, str, str]]:
        """Id, title and reason of every figure that has no runs although some are planned."""
        return [
            (name, spec.title, "; ".join(why_empty(spec, mine)))
            for name, spec, mine in self._empty
            if not left_out(spec.shown(mine))
        ]

    @cached_property
    def figures_left_out(self) -> list[Gap]:
        """The titles of the figures of which this scale plans no runs."""
        return by_reason(
            ("; ".join(why_empty(spec, mine)), spec.title)
            for _, spec, mine in self._empty
            if left_out(spec.shown(mine))
        )

    @cached_property
    def _empty(self) -> list[tuple[str, FigureSpec, Results]]:
        return [
            (name, spec, spec.gathered(self.results, self.name))
            for name, spec, has_runs in self._specs()
            if not has_runs
        ]

    def _specs(self) -> Iterator[tuple[str, FigureSpec, bool]]:
        for name, spec in parse_figures(self.paper).items():
            shown = spec.shown(spec.gathered(self.results, self.name))
            yield name, spec, any(group.cards for group in shown)

    def _of(self, experiment: str) -> Results:
        return self.results.of(self.name, experiment)

    def _figure(self, name: str, spec: FigureSpec) -> dict[str, str]:
        svg = self.pictures / self.name / f"{name}.svg"
        ensure(spec, self.name, self.results, svg)
        data = base64.b64encode(svg.read_bytes()).decode()
        return {"id": name, "title": spec.title, "caption": spec.caption, "svg": data}

    @cached_property
    def tabulated(self) -> list[dict[str, Any]]:
        """Id, title, caption, head, rows of (text, is best) and notes of every table with runs."""
        found = []
        for name, spec in parse_tables(self.paper).items():
            mine = spec.gathered(self.results, self.name)
            if not any(group.cards for group in mine.groups):
                continue
            shown, best = text(spec, mine)
            rows = [
                list(zip(*row, strict=True))
                for row in zip(shown.to_numpy().tolist(), best.to_numpy().tolist(), strict=True)
            ]
            about = {"id": name, "title": spec.title, "caption": spec.caption}
            found.append(
                about | {"head": list(shown.columns), "rows": rows, "notes": notes(spec, mine)}
            )
        return found

    @cached_property
    def experiments(self) -> list[dict[str, Any]]:
        """One row an experiment: task, data, dimension, workers, seeds, budget, runs."""
        return [
            self._experiment(name, entry)
            for name, entry in self.paper.experiments.items()
            if not entry.skip
        ]

    def _experiment(self, name: str, entry: Experiment) -> dict[str, Any]:
        groups = self._of(name).groups
        cards = [card for group in groups for card in group.cards]
        planned = sum(group.planned for group in groups)
        workers = sorted({int(card.config["runtime"]["workers"]) for card in cards})
        return {
            "id": name,
            "title": entry.title,
            "data": data_names(groups).removeprefix("data ") if cards else "—",
            "dim": ", ".join(f"{d:,}" for d in sorted({card.dim for card in cards})) or "—",
            "workers": ", ".join(map(str, workers)) or "—",
            "seeds": ", ".join(map(str, sorted({card.seed for card in cards}))) or "—",
            "budget": budget_text(entry.budget),
            "runs": f"{len(cards)} of {planned}",
            "diverged": sum(group.diverged for group in groups),
        }

    @cached_property
    def tuned(self) -> list[GroupResult]:
        """The groups whose learning rate was tuned."""
        return [group for group in self.results.groups if group.tuning and group.tuning.best]

    @cached_property
    def swept(self) -> list[dict[str, Any]]:
        """One row a sweep: how its runs ended, its best point, and whether that is at an edge."""
        return [
            {
                "experiment": group.experiment,
                "title": group.title,
                "runs": len(group.sweep.rows),
                "outcomes": dict(sorted(Counter(group.sweep.rows["outcome"]).items())),
                "point": group.point or "—",
                "reached": bool(group.sweep.best and group.sweep.best.reached),
                "edge": ", ".join(group.sweep.edge),
            }
            for group in self.results.groups
            if group.sweep is not None
        ]

    @cached_property
    def gaps(self) -> list[Gap]:
        """What was planned and not run: experiments, or single methods of one."""
        return by_reason(self._missing())

    def _missing(self) -> Iterator[tuple[str, str]]:
        for name, entry in self.paper.experiments.items():
            groups = self._of(name).groups
            missing = [group for group in groups if not group.cards]
            if entry.skip or not missing:
                continue
            for gap in by_reason((aggregate.not_run(g.reason), g.title) for g in missing):
                whole = len(gap.what) == len(groups)
                yield gap.reason, entry.title if whole else f"{entry.title}: {', '.join(gap.what)}"

    @cached_property
    def experiments_left_out(self) -> list[Gap]:
        """The titles of the experiments that this scale leaves out."""
        return by_reason(
            (entry.skip, entry.title) for entry in self.paper.experiments.values() if entry.skip
        )

    @cached_property
    def diverged(self) -> list[tuple[str, str, str]]:
        """Experiment, method and number of diverged runs, for each method that has some."""
        return [
            (group.experiment, group.title, f"{group.diverged} of {len(group.cards)}")
            for group in self.results.groups
            if group.diverged
        ]


def provenance(results: Results) -> dict[str, list[str]]:
    """Revisions, versions, devices and data digests of all runs, each value once, sorted."""
    cards = [card for group in results.groups for card in group.cards]
    data = {
        f"{c.data.get('name', '?')}, variant {c.data.get('variant') or '—'}, from "
        f"{c.data.get('source') or '—'}, sha256 {c.data.get('sha256') or '—'}"
        for c in cards
    }
    versions = {f"{name} {value}" for c in cards for name, value in c.versions.items()}
    return {
        "git revision": list(results.revisions),
        "data": sorted(data),
        "device": sorted({c.device for c in cards}),
        "versions": [", ".join(sorted(versions))] if versions else [],
        "analysis": [f"wiregrad {__version__}"],
    }


def budget_text(budget: Mapping[str, Any]) -> str:
    """A budget in words, e.g. "20 epochs", or a target with its metric."""
    texts = []
    for key, value in budget.items():
        if isinstance(value, dict):
            texts.append(f"{key} " + " ".join(str(v) for v in value.values() if v is not None))
        elif value is not None:
            texts.append(f"{value:,g} {key}")
    return ", ".join(texts)


def budget_sentence(verdicts: list[Judged], scale: str) -> str:
    """How many claims this scale can test, in plain words."""
    tested = [row.id for row in verdicts if row.verdict != Verdict.NOT_TESTED]
    if not verdicts:
        return "These papers have no claims in the configuration."
    if not tested:
        return f"Scale {scale} tests none of the {len(verdicts)} claims: see the reasons below."
    rest = len(verdicts) - len(tested)
    text = f"Scale {scale} tests {len(tested)} of {len(verdicts)} claims: {', '.join(tested)}."
    if rest:
        text += (
            f" The other {rest} need a larger budget, more data or runs that this scale leaves out;"
            " where they have runs, the effect is shown without a verdict."
        )
    return text


def render(plan: Plan, results: Results, pictures: Path) -> str:
    """The page as HTML; figures that are missing or out of date are drawn into `pictures`."""
    verdicts = judge_all(plan, results)
    parts = [
        PaperPart(name, paper, results.of(name), [v for v in verdicts if v.paper == name], pictures)
        for name, paper in plan.papers.items()
    ]
    cards = [card for group in results.groups for card in group.cards]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            scale=plan.scale,
            budget_text=budget_text,
            parts=parts,
            counts={str(v): sum(row.verdict == v for row in verdicts) for v in Verdict},
            tested=budget_sentence(verdicts, plan.scale),
            runs=len(cards),
            planned=sum(group.planned for group in results.groups),
            diverged=sum(group.diverged for group in results.groups),
            provenance=provenance(results),
        )
    )


def write(plan: Plan, results: Results, pictures: Path, path: Path) -> Path:
    """Write the report to `path`, atomically."""
    write_text(path, render(plan, results, pictures))
    return path
