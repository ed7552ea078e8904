"""Copies the results of a scale to where they are committed, replacing each folder as a whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wiregrad.analysis.claims.judge import judge_all
from wiregrad.analysis.claims.render import write as write_claims
from wiregrad.analysis.figures.catalogue import parse as parse_figures
from wiregrad.analysis.figures.render import write as write_figure
from wiregrad.analysis.results import aggregate
from wiregrad.analysis.tables.catalogue import parse as parse_tables
from wiregrad.analysis.tables.render import write as write_table
from wiregrad.core.errors import RecordError
from wiregrad.runs import record
from wiregrad.studies.files import read_manifest

if TYPE_CHECKING:
    from wiregrad.studies.plan import Group, Plan


def publish(plan: Plan, results: Path, pictures: Path) -> list[Path]:
    """Fill `results` with histories, run cards, tables and claims, and `pictures` with figures.

    Only runs that a group.json lists are copied, after their sha256 was checked; timings and
    checkpoints are not. Raises RecordError when nothing was run or a file is malformed; both
    folders then stay as they were.
    """
    found = aggregate.collect(plan)
    if not any(group.cards for group in found.groups):
        raise RecordError(
            f"{plan.results / plan.scale}: nothing was run, so there is nothing to publish"
        )
    verdicts = judge_all(plan, found)
    with _replacing(results) as new:
        for group in plan.groups:
            _copy_group(group, new / group.directory.relative_to(plan.results / plan.scale))
        write_claims(verdicts, plan.scale, new)
        for paper in plan.papers.values():
            for name, table in parse_tables(paper).items():
                if any(group.cards for group in table.gathered(found, paper.paper).groups):
                    write_table(table, name, paper.paper, found, new / "tables")
    with _replacing(pictures) as new:
        for paper in plan.papers.values():
            for name, spec in parse_figures(paper).items():
                mine = spec.gathered(found, paper.paper)
                if any(group.cards for group in spec.shown(mine)):
                    write_figure(spec, paper.paper, found, new / paper.paper / f"{name}.svg")
    return [results, pictures]


def _copy_group(group: Group, target: Path) -> None:
    if not group.manifest.exists():
        return
    target.mkdir(parents=True)
    listed = read_manifest(group.manifest)
    shutil.copyfile(group.manifest, target / group.manifest.name)
    for path in (group.tuning_file, group.sweep_file, group.best_file):
        if path.exists():
            shutil.copyfile(path, target / path.name)
    for run in listed.runs:
        (target / run.id).mkdir()
        for name in (record.HISTORY, record.CARD, record.CHOICES, record.STALENESS):
            path = group.directory / run.id / name
            if path.exists():
                shutil.copyfile(path, target / run.id / name)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` on success, and is removed otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        new = work / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(work / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(work)
