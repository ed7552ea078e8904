"""Tables as files: CSV with numbers; Markdown and LaTeX with mean ± interval, best in bold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from wiregrad.analysis.results import aggregate
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.statistics import UNKNOWN, Estimate
from wiregrad.analysis.tables.spec import Column, TableSpec
from wiregrad.core.files import write_text

EDGE, UNTUNED = "†", "‡"


def write(spec: TableSpec, name: str, paper: str, results: Results, out: Path) -> list[Path]:
    """Write `out`/<paper>/<name>.csv, .md and .tex, each atomically."""
    mine = spec.gathered(results, paper)
    paths = [out / paper / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
    write_text(paths[0], numbers(spec, mine).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], markdown(spec, mine))
    write_text(paths[2], latex(spec, name, mine))
    return paths


def numbers(spec: TableSpec, mine: Results) -> pd.DataFrame:
    """The table as numbers: value, low and high of each quantity, NaN where there is none."""
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
            "lr_tuned": group.tuned,
            "lr_at_grid_edge": group.at_edge,
        }
        for column in found:
            cell = column.cells[group.label]
            ends = cell if isinstance(cell, Estimate) else UNKNOWN
            row[column.key] = ends.value
            row[f"{column.key}_low"], row[f"{column.key}_high"] = ends.low, ends.high
        rows.append(row | {"scale": mine.scale, "revision": " ".join(group.revisions)})
    return pd.DataFrame(rows)


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


def text(spec: TableSpec, mine: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table as people read it, and a mask of the cells that are the best of their column.

    A method with a diverged run is never best, since its mean leaves that run out.
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


def notes(spec: TableSpec, mine: Results) -> list[str]:
    """The notes below a table: how to read it, what was not run, scale and revision."""
    lines = spec.notes(mine)
    if any(group.at_edge for group in mine.groups):
        lines.append(f"{EDGE} the best point is at the edge of the tuning grid.")
    if any(group.cards and not group.tuned for group in mine.groups):
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


def _rate(group: GroupResult) -> str:
    if not group.rates:
        return "—"
    printed = " … ".join(f"{r:.4g}" for r in sorted({min(group.rates), max(group.rates)}))
    mark = UNTUNED if not group.tuned else EDGE if group.at_edge else ""
    return f"{printed} {mark}".rstrip()


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


def _escaped(value: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: f"\\{c}" for c in "&%$#_{}"}
    return "".join(special.get(c, c) for c in value)
