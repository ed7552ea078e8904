"""Figures as files: title, footer, SVG and PNG, and the digest that says whether they are current.

A figure's files are a function of its histories, its description and the code that draws it. Their
digest is written into the SVG, so a figure that is up to date is recognised without drawing it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.lines import INTERVAL_FROM
from wiregrad.analysis.figures.spec import FigureSpec
from wiregrad.analysis.results import budget
from wiregrad.analysis.results.aggregate import GroupResult, Results, not_run
from wiregrad.core.files import write_atomic
from wiregrad.runs.provenance import code_sha256

PARTS = {
    "train_limit": "{:,} to train",
    "eval_train": "train loss on {:,}",
    "eval_test": "tested on {:,}",
}
"""Settings of a problem that take a part of the data, and how a figure says so."""


def draw(spec: FigureSpec, paper: str, results: Results) -> Figure:
    """The figure from its paper's results, or a placeholder that says why nothing is drawn."""
    mine = spec.gathered(results, paper)
    if not any(group.cards for group in spec.shown(mine)):
        return placeholder(spec, mine)
    figure, notes = spec.draw(mine)
    style.title(figure, spec.title)
    style.footer(figure, footer_lines(spec, mine) + notes)
    return figure


def placeholder(spec: FigureSpec, mine: Results) -> Figure:
    """A figure that says that nothing was run, and why."""
    figure = Figure(figsize=(7.2, 1.7))
    style.title(figure, spec.title)
    text = "\n".join(why_empty(spec, mine))
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color="#555555", wrap=True)
    style.footer(figure, [f"wiregrad · scale {mine.scale}"])
    return figure


def why_empty(spec: FigureSpec, mine: Results) -> list[str]:
    """Why there is nothing to draw."""
    reasons = sorted({not_run(group.reason) for group in spec.shown(mine)})
    return reasons or [f"not run: {', '.join(spec.reads)} is not part of scale {mine.scale}"]


def footer_lines(spec: FigureSpec, mine: Results) -> list[str]:
    """Lines of the footer: scale, revision, data, seeds, and the methods missing or diverged."""
    groups = spec.shown(mine)
    revisions = ", ".join(revision[:7] for revision in mine.revisions)
    about = [
        f"scale {mine.scale}",
        f"revision {revisions}",
        data_names(groups),
        _seeds(groups, spec.medians),
    ]
    lines = [" · ".join(["wiregrad", *about]), *budget.lines(mine)]
    missing: dict[str, list[str]] = {}
    for group in groups:
        if not group.cards:
            missing.setdefault(not_run(group.reason), []).append(group.title)
    lines += [f"{', '.join(who)}: {why}." for why, who in missing.items()]
    diverged = [f"{g.title} ({g.diverged} of {len(g.cards)} runs)" for g in groups if g.diverged]
    if diverged:
        lines.append(f"Diverged (× marks where): {', '.join(diverged)}.")
    return lines


def _seeds(groups: tuple[GroupResult, ...], medians: bool) -> str:
    counts = sorted({group.seeds for group in groups if group.cards})
    if counts[-1] == 1:
        return "one seed"
    counted = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    if not medians:
        return f"{counted} seeds"
    spread = "95 % interval" if counts[-1] >= INTERVAL_FROM else "their range"
    return f"line: median of {counted} seeds, band: {spread}"


def data_names(groups: tuple[GroupResult, ...]) -> str:
    """The data sets, variants and parts that runs used, e.g. "data mnist (5,000 to train)"."""
    named = set()
    for card in (card for group in groups for card in group.cards):
        name, variant = str(card.data.get("name", "?")), str(card.data.get("variant") or "")
        problem = card.config.get("problem", {})
        notes = [variant] if variant not in {"", name} else []
        notes += [text.format(problem[key]) for key, text in PARTS.items() if problem.get(key)]
        named.add(f"{name} ({', '.join(notes)})" if notes else name)
    return "data " + ", ".join(sorted(named))


def digest(spec: FigureSpec, paper: str, results: Results) -> str:
    """Hex sha256 of all that the figure is a function of.

    That is its description, the histories, sweeps and tunings, and the code of its kind and of this
    module with all that they import from the analysis.
    """
    mine = spec.gathered(results, paper)
    kind = Path(inspect.getfile(type(spec)))
    content = {
        "kind": type(spec).__name__,
        "spec": asdict(spec),
        "scale": mine.scale,
        "groups": [(g.label, g.title, g.reason, g.planned) for g in mine.groups],
        "histories": mine.history_digests,
        "sweeps": mine.sweep_digests,
        "tunings": [g.tuning and g.tuning.model_dump(mode="json") for g in mine.groups],
        "revisions": mine.revisions,
        "labels": mine.labels,
        "colours": dict(mine.colours),
        "code": [code_sha256(file, "wiregrad.analysis") for file in (kind, Path(__file__))],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def up_to_date(path: Path, wanted: str) -> bool:
    """Whether the SVG at `path` carries the digest `wanted` and its PNG is beside it."""
    if not (path.exists() and path.with_suffix(".png").exists()):
        return False
    found = re.search(r"digest ([0-9a-f]{64})", path.read_text(encoding="utf-8")[:4000])
    return bool(found and found.group(1) == wanted)


def write(spec: FigureSpec, paper: str, results: Results, svg: Path) -> list[Path]:
    """Draw the figure to `svg` and to a PNG beside it, each atomically."""
    with style.shared_style():
        figure = draw(spec, paper, results)
        found = digest(spec, paper, results)
        description = f"{spec.title}; scale {results.scale}; digest {found}"
        contents = {
            svg.with_suffix(".png"): style.png_bytes(figure, description),
            svg: style.svg_bytes(figure, description),
        }
    for path, content in contents.items():
        with write_atomic(path) as temporary:
            temporary.write_bytes(content)
    return [svg, svg.with_suffix(".png")]


def ensure(spec: FigureSpec, paper: str, results: Results, svg: Path) -> list[Path]:
    """As `write`, unless the files are up to date already."""
    if up_to_date(svg, digest(spec, paper, results)):
        return [svg, svg.with_suffix(".png")]
    return write(spec, paper, results, svg)
