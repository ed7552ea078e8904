"""explorer.html: choose a task, methods and axes on one page that opens without a network.

The page is a template and a short script of its own. The plots are lines with bands, for which a
plotting library would embed some megabytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.axes import X_AXES, Y_AXES
from wiregrad.analysis.report.page import environment
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.core.files import write_text

if TYPE_CHECKING:
    from wiregrad.studies.plan import Plan

POINTS = 240
"""The largest number of points kept of a curve: a screen does not resolve more."""


def curves(mine: Results, looks: dict[str, style.Look]) -> list[dict[str, Any]]:
    """The curves of one experiment, one for each method and number of workers: x, y and look."""
    found = []
    frame = mine.frame
    for group in mine.groups:
        for workers, part in frame[frame["label"] == group.label].groupby("workers"):
            found.append(_curve(group, int(str(workers)), part, looks[group.label]))
    return found


def _curve(
    group: GroupResult, workers: int, part: pd.DataFrame, look: style.Look
) -> dict[str, Any]:
    # Seeds are matched by step, since all of them log at the same steps.
    at = part.groupby("step")
    steps = at.size().index.to_numpy()
    keep = np.unique(np.linspace(0, len(steps) - 1, min(POINTS, len(steps))).round().astype(int))
    xs = {key: axis.column for key, axis in X_AXES.items()}
    return {
        "label": group.label,
        "title": group.title,
        "workers": workers,
        "colour": look.colour,
        "dash": look.dash,
        "x": {k: _numbers(steps if c == "step" else at[c].median(), keep) for k, c in xs.items()},
        "y": {
            key: [_numbers(at[axis.column].agg(how) * axis.factor, keep) for how in _BAND]
            for key, axis in Y_AXES.items()
        },
    }


_BAND = ("median", "min", "max")


def _numbers(values: Any, keep: Any) -> list[float | None]:
    """The values at the positions `keep`, to five significant digits; None where not measured."""
    chosen = np.asarray(values, dtype="float64")[keep]
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in chosen]


def content(plan: Plan, results: Results) -> dict[str, Any]:
    """The data of the page: axes, and the curves of every experiment that was run."""
    tasks = []
    for paper, entry in plan.papers.items():
        for name, experiment in entry.experiments.items():
            mine = results.of(paper, name)
            if not mine.frame.empty:
                looks = style.looks(results.labels, results.colours)
                task = {"id": f"{paper}/{name}", "title": experiment.title}
                tasks.append(task | {"curves": curves(mine, looks)})
    axes = {"x": X_AXES, "y": Y_AXES}
    return {
        "scale": plan.scale,
        "black": style.COLOURS["black"],
        "tasks": tasks,
        "axes": {
            side: {key: {"label": a.label, "scale": a.scale} for key, a in known.items()}
            for side, known in axes.items()
        },
        "dashes": {
            k: "" if v == "-" else " ".join(map(str, v[1])) for k, v in style.DASHES.items()
        },
    }


def write(plan: Plan, results: Results, path: Path) -> Path:
    """Write the explorer to `path`, atomically."""
    data = json.dumps(content(plan, results), separators=(",", ":"), allow_nan=False)
    # A title that holds "</" would end the script element.
    page = environment().get_template("explorer.html.j2")
    write_text(path, page.render(scale=plan.scale, data=data.replace("</", "<\\/")))
    return path
