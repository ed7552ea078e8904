"""Tables as data: one row a method, as CSV (numbers), Markdown and LaTeX (mean ± interval)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pydantic

from wiregrad import fsio
from wiregrad.analysis import aggregate, budget, measure, statistics
from wiregrad.analysis.aggregate import GroupResult, Results
from wiregrad.analysis.pairs import METRICS, MetricName
from wiregrad.analysis.statistics import Estimate
from wiregrad.validation import checked

if TYPE_CHECKING:
    from wiregrad.grammar import Paper

EDGE, UNTUNED = "†", "‡"
NOTHING = Estimate(math.nan, math.nan, math.nan, 0)
SPENT = {
    "rounds": "step",
    "uplink bits (paper)": "uplink_bits_paper",
    "uplink bits (wire)": "uplink_bits_wire",
    "downlink bits, one copy (wire)": "downlink_bits_wire",
    "bits of both links (paper)": "total_bits_paper",
    "bits of all links, broadcast once": "all_bits_once",
    "bits of all links, broadcast n times": "all_bits_each",
}
"""What is spent, and its column of the history or of what is derived of it."""
Spent = Literal[
    "rounds",
    "uplink bits (paper)",
    "uplink bits (wire)",
    "downlink bits, one copy (wire)",
    "bits of both links (paper)",
    "bits of all links, broadcast once",
    "bits of all links, broadcast n times",
]


Form = Literal["fixed", "bits", "count", "rank", "plain"]
Cell = Estimate | str


@dataclass(frozen=True)
class Column:
    """One quantity: an estimate for each label, which end is best, and how it is printed."""

    key: str
    heading: str
    best: Literal["min", "max"] | None
    form: Form
    cells: Mapping[str, Cell]


class Target(pydantic.BaseModel):
    """A level of a metric, in the metric's unit: what counts is what it cost to get there."""

    model_config = pydantic.ConfigDict(extra="forbid")

    metric: MetricName
    value: float

    def __str__(self) -> str:
        metric = METRICS[self.metric]
        return f"{metric.name} {self.value:g}" + (" %" if metric.unit == "points" else "")


class TableSpec(pydantic.BaseModel):
    """One entry of `tables:` in a paper's configuration."""

    model_config = pydantic.ConfigDict(extra="forbid")

    title: str
    caption: str
    experiment: str
    metrics: tuple[MetricName, ...] = ("train_loss", "accuracy")
    totals: tuple[Spent, ...] = ("uplink bits (wire)",)
    """What was spent at the end of the run."""
    target: Target | None = None
    spent: tuple[Spent, ...] = ("rounds", "uplink bits (paper)", "uplink bits (wire)")
    """What was spent until the target."""
    workers: int | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The experiments that it is made of."""
        return (self.experiment,)

    def gathered(self, results: Results, paper: str) -> Results:
        """The part of all results that it is made of."""
        return results.of(paper, *self.reads)

    def columns(self, mine: Results) -> list[Column]:
        """The numbers of the table; cells hold text where there is no number, and say why."""
        frame = mine.frame
        if self.workers is not None:
            frame = frame[frame["workers"] == self.workers]
        found = [_final(frame, mine.groups, name) for name in self.metrics]
        found += [_total(frame, mine.groups, SPENT[what], what) for what in self.totals]
        if self.target is not None:
            found += [_to_target(frame, mine.groups, self.target, what) for what in self.spent]
        return found

    def notes(self, mine: Results) -> list[str]:
        """How to read the table, and what each run was given."""
        how = "Mean ± half-width of the 95 % interval over seeds; bold: best mean."
        return [how, *budget.lines(mine)]


def parse(paper: Paper) -> dict[str, TableSpec]:
    """The tables of a paper's configuration by id; ConfigError names the table and the key."""
    from wiregrad.analysis.arena import ArenaTable  # they build on this module
    from wiregrad.analysis.sweeps.tables import SweepTable

    by_kind: dict[str, type[TableSpec]] = {"sweep": SweepTable, "arena": ArenaTable}
    specs: dict[str, TableSpec] = {}
    for name, entry in paper.tables.items():
        where = f"config/papers/{paper.paper}.yaml: tables.{name}"
        kind = SweepTable if "kind" in entry else TableSpec
        specs[name] = checked(by_kind.get(entry.get("kind", ""), kind), entry, where)
        for experiment in specs[name].reads:
            aggregate.known_experiment(paper, experiment, f"{where}.experiment")
    return specs


def _final(frame: pd.DataFrame, groups: Sequence[GroupResult], name: MetricName) -> Column:
    metric = METRICS[name]
    values = measure.per_run(frame, metric.column)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        mine = values[values["label"] == group.label]
        estimate = statistics.mean_interval(mine["value"] * metric.factor)
        cells[group.label] = estimate if estimate.n else ("diverged" if len(mine) else "—")
    heading = f"{metric.name} (%)" if metric.unit == "points" else metric.name
    return Column(name, heading, "max" if metric.rising else "min", "fixed", cells)


def _total(frame: pd.DataFrame, groups: Sequence[GroupResult], column: str, heading: str) -> Column:
    values = measure.per_run(frame, column)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        estimate = statistics.mean_interval(values[values["label"] == group.label]["value"])
        cells[group.label] = estimate if estimate.n else "—"
    return Column(f"total_{column}", f"{heading} in all", None, "bits", cells)


def _to_target(
    frame: pd.DataFrame, groups: Sequence[GroupResult], target: Target, what: str
) -> Column:
    metric, column = METRICS[target.metric], SPENT[what]
    level = target.value / metric.factor
    table = measure.first_crossing(frame, metric.column, level, column, rising=metric.rising)
    cells: dict[str, Estimate | str] = {}
    for group in groups:
        mine = table[table["label"] == group.label]
        missed = int(mine["censored"].sum())
        if missed:
            cells[group.label] = f"missed by {missed} of {len(mine)}"
        else:
            cells[group.label] = statistics.mean_interval(mine["value"]) if len(mine) else "—"
    unit = " %" if metric.unit == "points" else ""
    heading = f"{what} to {metric.name} {target.value:g}{unit}"
    return Column(
        f"to_target_{column}", heading, "min", "bits" if "bits" in what else "count", cells
    )


def numbers(spec: TableSpec, mine: Results) -> pd.DataFrame:
    """The table as numbers: value, low, high of each quantity; NaN where there is none."""
    rows = []
    found = spec.columns(mine)
    for group in mine.groups:
        row: dict[str, Any] = {
            "label": group.label,
            "title": group.title,
            "seeds": group.seeds,
            "runs": len(group.cards),
            "diverged": group.diverged,
            "not_run": group.reason or "",
            "lr": " ".join(f"{rate:g}" for rate in group.rates),
            "lr_tuned": _tuned(group),
            "lr_at_grid_edge": _at_edge(group),
        }
        for column in found:
            cell = column.cells[group.label]
            ends = cell if isinstance(cell, Estimate) else NOTHING
            row[column.key] = ends.value
            row[f"{column.key}_low"], row[f"{column.key}_high"] = ends.low, ends.high
        rows.append(row | {"scale": mine.scale, "revision": " ".join(group.revisions)})
    return pd.DataFrame(rows)


def text(spec: TableSpec, mine: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table as people read it, and a mask of the cells that are best in their column.

    A method with a diverged run is never best: its mean leaves that run out.
    """
    found = spec.columns(mine)
    rows = [
        {"method": g.title, "seeds": str(g.seeds or "—"), "learning rate": _rate(g)}
        | {c.heading: _cell(c, g.label) for c in found}
        for g in mine.groups
    ]
    shown = pd.DataFrame(rows)
    mask = pd.DataFrame(data=False, index=shown.index, columns=shown.columns)
    whole = {group.label for group in mine.groups if not group.diverged}
    for column in (c for c in found if c.best):
        cells = {k: c for k, c in column.cells.items() if isinstance(c, Estimate) and k in whole}
        if len(cells) > 1:
            values = [cell.value for cell in cells.values()]
            best = _printed(min(values) if column.best == "min" else max(values), column.form)
            mask[column.heading] = [
                g.label in cells and _printed(cells[g.label].value, column.form) == best
                for g in mine.groups
            ]
    return shown, mask


def _rate(group: GroupResult) -> str:
    if not group.rates:
        return "—"
    printed = " … ".join(f"{r:.4g}" for r in sorted({min(group.rates), max(group.rates)}))
    mark = UNTUNED if not _tuned(group) else EDGE if _at_edge(group) else ""
    return f"{printed} {mark}".rstrip()


def _tuned(group: GroupResult) -> bool:
    return group.tuning is not None or group.sweep is not None


def _at_edge(group: GroupResult) -> bool:
    return bool((group.tuning and group.tuning.edge) or (group.sweep and group.sweep.edge))


def _cell(column: Column, label: str) -> str:
    cell = column.cells[label]
    if isinstance(cell, str):
        return cell
    if math.isfinite(cell.low) and cell.half_width > 0:
        return _printed(cell.value, column.form, cell.half_width)
    return _printed(cell.value, column.form)


def _printed(value: float, form: str, spread: float | None = None) -> str:
    """A value, or value ± spread with the same number of decimals and the same SI prefix."""
    unit, factor = "", 1.0
    if form == "plain":
        return f"{value:g}"
    if form == "bits":
        power = min(max(int(math.log10(max(value, 1.0)) // 3), 0), 5)
        unit, factor = (("", " k", " M", " G", " T", " P")[power], 1000.0**power)
        decimals = 2 if value / factor < 10 else 1
    else:
        small = 2 if abs(value) >= 10 else 4
        decimals = {"count": 0, "rank": 1}.get(form, small)
    both = [value] if spread is None else [value, spread]
    return " ± ".join(f"{v / factor:,.{decimals}f}" for v in both) + unit


def notes(spec: TableSpec, mine: Results) -> list[str]:
    """What stands below a table: how to read it, what was not run, scale and revision."""
    lines = spec.notes(mine)
    if any(_at_edge(group) for group in mine.groups):
        lines.append(f"{EDGE} the best point is at the edge of the tuning grid.")
    if any(group.cards and not _tuned(group) for group in mine.groups):
        lines.append(f"{UNTUNED} rate given, not tuned.")
    missing: dict[str, list[str]] = {}
    for group in mine.groups:
        if not group.cards:
            missing.setdefault(aggregate.not_run(group.reason), []).append(group.title)
        elif group.diverged:
            why = f"diverged in {group.diverged} of {len(group.cards)} runs"
            missing.setdefault(why, []).append(group.title)
    lines += [f"{', '.join(who)}: {why}." for why, who in missing.items()]
    revisions = ", ".join(r[:7] for r in mine.revisions) or "none"
    lines.append(f"wiregrad · scale {mine.scale} · revision {revisions}")
    return lines


def markdown(spec: TableSpec, mine: Results) -> str:
    """The table in Markdown, best cells in bold."""
    shown, mask = text(spec, mine)
    shown = shown.where(~mask, "**" + shown.astype(str) + "**")
    body = shown.to_markdown(index=False, disable_numparse=True)
    below = "\n".join(f"- {line}" for line in notes(spec, mine))
    return f"### {spec.title}\n\n{spec.caption.strip()}\n\n{body}\n\n{below}\n"


def latex(spec: TableSpec, name: str, mine: Results) -> str:
    """The table in LaTeX with booktabs rules, best cells in bold."""
    shown, mask = text(spec, mine)
    bold = mask.map(lambda best: "textbf:--rwrap;" if best else "")
    styler = shown.style.hide(axis="index").format(escape="latex")
    styler = styler.format_index(escape="latex", axis="columns").apply(lambda _: bold, axis=None)
    caption = _escaped(
        f"{spec.title}. {' '.join(spec.caption.split())} {' '.join(notes(spec, mine))}"
    )
    return str(
        styler.to_latex(
            hrules=True,
            caption=caption,
            label=f"tab:{name}",
            position_float="centering",
            column_format="l" + "r" * (len(shown.columns) - 1),
        )
    )


def _escaped(value: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: f"\\{c}" for c in "&%$#_{}"}
    return "".join(special.get(c, c) for c in value)


def write(spec: TableSpec, name: str, paper: str, results: Results, out: Path) -> list[Path]:
    """Write `out`/<paper>/<name>.csv, .md and .tex, each atomically."""
    mine = spec.gathered(results, paper)
    paths = [out / paper / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
    fsio.write_text(paths[0], numbers(spec, mine).to_csv(index=False, lineterminator="\n"))
    fsio.write_text(paths[1], markdown(spec, mine))
    fsio.write_text(paths[2], latex(spec, name, mine))
    return paths
