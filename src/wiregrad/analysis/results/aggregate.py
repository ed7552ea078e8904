"""Histories of a plan as one tidy table, with the groups that were not run and why.

There is one row per logged step of each run. Columns are those of the history
(`wiregrad.runs.record.HISTORY_SCHEMA`), what is derived from them (`derived.DERIVED`), and
`RUN_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from wiregrad.analysis.results import derived, sweeps
from wiregrad.analysis.results.sweeps import Swept
from wiregrad.core.errors import RecordError
from wiregrad.core.files import sha256_file
from wiregrad.runs import record
from wiregrad.studies.files import (
    RATE,
    ListedRun,
    NotRunKind,
    TuningResult,
    read_manifest,
    read_tuning,
)

if TYPE_CHECKING:
    from wiregrad.studies.plan import Group, Plan

RUN_COLUMNS = ["paper", "experiment", "label", "title", "workers", "seed", "run_id", "outcome"]
COLUMNS = [*record.HISTORY_SCHEMA.names, *derived.DERIVED, *RUN_COLUMNS]

NOT_YET = "not run yet"


def not_run(reason: str | None) -> str:
    """The reason as text that begins with "not run"."""
    reason = reason or NOT_YET
    return reason if reason.startswith("not run") else f"not run: {reason}"


@dataclass(frozen=True)
class GroupResult:
    """What is known about one group of runs: one method of one experiment."""

    paper: str
    experiment: str
    label: str
    title: str
    planned: int
    reason: str | None = None
    """Why there are no runs, in words."""
    not_run: NotRunKind | None = None
    """Why there are no runs, where the group's files say so."""
    cards: tuple[record.RunCard, ...] = ()
    runs: tuple[str, ...] = ()
    """Ids of the runs, one a card."""
    tuning: TuningResult | None = None
    sweep: Swept | None = None
    directory: Path | None = None

    @property
    def point(self) -> str:
        """The point of the grid that won the sweep, in words; empty where there was no sweep."""
        best = None if self.sweep is None else self.sweep.best
        return "" if best is None else best.text

    @property
    def title_and_point(self) -> str:
        """The title and `point`, e.g. "CLAG (K = 1, ζ = 128, 8×)"."""
        return f"{self.title} ({self.point})" if self.point else self.title

    @property
    def diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(card.outcome == record.Outcome.DIVERGED for card in self.cards)

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates of the runs, sorted, each once."""
        return tuple(sorted({float(card.config["method"]["lr"]) for card in self.cards}))

    @property
    def revisions(self) -> tuple[str, ...]:
        """The git revisions that made the runs, sorted, each once."""
        return tuple(sorted({card.git_revision for card in self.cards}))

    @property
    def seeds(self) -> int:
        """Number of different seeds that were run."""
        return len({card.seed for card in self.cards})

    @property
    def tuned(self) -> bool:
        """Whether the learning rate was chosen from a grid."""
        return self.tuning is not None or self.sweep is not None

    @property
    def at_edge(self) -> bool:
        """Whether the chosen rate or point is at the edge of its grid."""
        return bool((self.tuning and self.tuning.edge) or (self.sweep and self.sweep.edge))

    @property
    def unsettled(self) -> str:
        """Why the tuning is not settled, in words; empty if the best point is inside its grid."""
        if not self.tuned:
            return "not tuned"
        if self.tuning is not None and self.tuning.edge and self.tuning.best is not None:
            others = [axis for axis in self.tuning.unsettled if axis != RATE]
            rate = [] if RATE not in self.tuning.unsettled else [f"rate {self.tuning.best:g}"]
            return f"best {', '.join(rate + others)} at the edge of the grid"
        if self.sweep is not None and self.cards:
            edges = self.sweep.open_edges(self.cards[0].dim)
            return f"best point at the edge of {', '.join(edges)}" if edges else ""
        return ""


@dataclass(frozen=True)
class Results:
    """All histories of a plan, with the groups that were not run and their reasons."""

    scale: str
    frame: pd.DataFrame
    groups: tuple[GroupResult, ...]
    colours: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """All method labels, in the order of the method list, which decides their looks."""

    def of(self, paper: str, *experiments: str) -> Results:
        """The part of one paper, or of the named experiments of it."""
        frame = self.frame[self.frame["paper"] == paper]
        groups = [group for group in self.groups if group.paper == paper]
        if experiments:
            frame = frame[frame["experiment"].isin(experiments)]
            groups = [group for group in groups if group.experiment in experiments]
        return replace(self, frame=frame, groups=tuple(groups))

    def group(self, label: str) -> GroupResult | None:
        """The group of `label`, in the results of one experiment."""
        return next((group for group in self.groups if group.label == label), None)

    def title(self, label: str) -> str:
        """The title of `label`, or the label itself where it has no group here."""
        group = self.group(label)
        return group.title if group else label

    @cached_property
    def revisions(self) -> tuple[str, ...]:
        """The git revisions that made these runs, sorted."""
        return tuple(sorted({c.git_revision for g in self.groups for c in g.cards}))

    @cached_property
    def history_digests(self) -> tuple[str, ...]:
        """The sha256 of every history, sorted."""
        return tuple(sorted(c.history_sha256 for g in self.groups for c in g.cards))

    @cached_property
    def sweep_digests(self) -> tuple[str, ...]:
        """The sha256 of every sweep and of every table of choices, sorted."""
        swept = [g.sweep.sha256 for g in self.groups if g.sweep is not None]
        chosen = [c.choices_sha256 for g in self.groups for c in g.cards if c.choices_sha256]
        return tuple(sorted(swept + chosen))


def collect(plan: Plan, only: Iterable[tuple[str, str]] | None = None) -> Results:
    """Read every group of `plan` (or those of the (paper, experiment) pairs in `only`).

    A group that was not run carries its reason. Raises RecordError when a file is malformed, or a
    history is not the one its group names.
    """
    wanted = None if only is None else set(only)
    groups: list[GroupResult] = []
    frames: list[pd.DataFrame] = []
    for planned in plan.groups:
        if wanted is None or (planned.paper, planned.experiment) in wanted:
            group, histories = read_group(planned)
            groups.append(group)
            frames.extend(histories)
    return Results(
        scale=plan.scale,
        frame=pd.concat(frames, ignore_index=True) if frames else empty_frame(),
        groups=tuple(groups),
        colours={k: entry.colour for k, entry in plan.methods.items() if entry.colour},
        labels=tuple(plan.methods),
    )


def empty_frame() -> pd.DataFrame:
    """A table with all columns and no rows."""
    history: pd.DataFrame = record.HISTORY_SCHEMA.empty_table().to_pandas()
    return history.reindex(columns=COLUMNS).astype({"workers": "int64", "seed": "int64"})


def read_group(planned: Group) -> tuple[GroupResult, list[pd.DataFrame]]:
    """One group's cards and histories, as its `group.json` lists them."""
    base = GroupResult(
        paper=planned.paper,
        experiment=planned.experiment,
        label=planned.label,
        title=planned.title,
        planned=0 if planned.skip else len(planned.runs),
        reason=planned.skip,
        directory=planned.directory,
    )
    if planned.sweep is not None and planned.skip is None:
        swept, why = sweeps.read(planned, planned.sweep)
        base = replace(base, sweep=swept, reason=why.text if why else None)
    if not planned.manifest.exists():
        return replace(base, reason=base.reason or planned.skip or NOT_YET), []
    listed = read_manifest(planned.manifest)
    cards, frames = [], []
    for run in listed.runs:
        card, history = _read_run(planned.directory / run.id, run.history_sha256)
        cards.append(card)
        frames.append(_labelled(history, base, run, card))
    why = listed.not_run
    found = replace(
        base,
        reason=why.text if why else (None if cards else base.reason or planned.skip or NOT_YET),
        not_run=why.kind if why else None,
        cards=tuple(cards),
        runs=tuple(run.id for run in listed.runs),
        tuning=read_tuning(planned.tuning_file) if planned.tuning_file.exists() else None,
    )
    return found, frames


def _read_run(directory: Path, sha256: str) -> tuple[record.RunCard, pd.DataFrame]:
    path = directory / record.HISTORY
    card = record.read_card(directory / record.CARD)
    history = record.read_history(path)
    if not sha256_file(path) == sha256 == card.history_sha256:
        raise RecordError(f"{path}: not the history that its group.json and run.json name (sha256)")
    named = {record.CHOICES: card.choices_sha256, record.STALENESS: card.staleness_sha256}
    for name, digest in named.items():
        if digest and sha256_file(directory / name) != digest:
            raise RecordError(f"{directory / name}: not the one that run.json names (sha256)")
    return card, history.to_pandas()


def _labelled(
    history: pd.DataFrame, group: GroupResult, run: ListedRun, card: record.RunCard
) -> pd.DataFrame:
    about = history.assign(
        paper=group.paper,
        experiment=group.experiment,
        label=group.label,
        title=group.title,
        workers=run.workers,
        seed=card.seed,
        run_id=run.id,
        outcome=str(card.outcome),
    )
    return derived.with_derived(about)[COLUMNS]
