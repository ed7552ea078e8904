"""How far a workflow call is, read from what its training jobs leave on disk."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wiregrad.core.errors import RecordError
from wiregrad.core.validation import read_yaml
from wiregrad.runs.record import CARD, read_card
from wiregrad.studies.files import PROGRESS, read_rounds_done
from wiregrad.studies.plan import Group, Plan, load_plan

LINE_SECONDS = 30.0
"""How often a line is printed where the output is no terminal."""


@dataclass(frozen=True)
class State:
    """Runs done (fractions of those under way included), all runs, and seconds left if known."""

    done: float
    total: int
    now: str
    seconds_left: float | None


@dataclass
class Tracker:
    """Reads the state of the runs that a scale asks for; `jobs` of them go side by side.

    With `targets` that are all papers' names, those of these papers.
    """

    scale: str
    config: Mapping[str, Any]
    jobs: int
    targets: Sequence[str] = ()
    _plan: Plan | None = None
    _extra: str | None = None
    _seconds: dict[Path, float] = field(default_factory=dict)

    def state(self) -> State:
        """Look at the disk now."""
        parts = [
            (group, folder, self._fraction(folder))
            for group in self._groups()
            for folder in run_folders(group)
        ]
        under_way = sorted(
            {f"{group.experiment}/{group.label}" for group, _, part in parts if 0 < part < 1}
        )
        return State(
            done=sum(part for *_, part in parts),
            total=len(parts),
            now=", ".join(under_way[: self.jobs]),
            seconds_left=self._left(parts),
        )

    def _groups(self) -> list[Group]:
        """The planned groups, read again when rule files have added methods."""
        extra = Path(self.config["results"], self.scale, "extra_methods.yaml")
        text = extra.read_text(encoding="utf-8") if extra.exists() else None
        if self._plan is None or text != self._extra:
            self._extra = text
            self._plan = load_plan(
                self.scale,
                self.config["config_dir"],
                self.config["papers"],
                self.config["results"],
                read_yaml(extra) if text is not None else None,
            )
        papers = set(self.targets)
        if not papers or papers - self._plan.papers.keys():
            papers = set(self._plan.papers)
        return [g for g in self._plan.groups if g.skip is None and g.paper in papers]

    def _fraction(self, folder: Path) -> float:
        """0 before a run, 1 after it, in between while it goes."""
        if folder in self._seconds:
            return 1.0
        try:
            self._seconds[folder] = read_card(folder / CARD).wall_seconds
            return 1.0
        except RecordError:
            pass
        try:
            told = read_rounds_done(folder / PROGRESS)
            return min(0.999, told.done / told.total)
        except RecordError:
            return 0.0

    def _left(self, parts: list[tuple[Group, Path, float]]) -> float | None:
        """What is missing, at the pace of the same experiment's runs, else of all runs."""
        known: dict[str, list[float]] = defaultdict(list)
        for group, folder, _ in parts:
            if folder in self._seconds:
                known[group.experiment].append(self._seconds[folder])
        if not known:
            return None
        pace = {name: statistics.fmean(seconds) for name, seconds in known.items()}
        usual = statistics.fmean(pace.values())
        missing = sum((1 - part) * pace.get(group.experiment, usual) for group, _, part in parts)
        return missing / self.jobs


def run_folders(group: Group) -> list[Path]:
    """Where the runs of a group, those of its tuning first, leave their files.

    A tuning makes trials as its search asks for them: those of the grid are known beforehand, of
    the others the ones that were begun.
    """
    tuning = group.directory / "tuning"
    known = [tuning / planned.run_id for planned in group.grid_trials]
    begun = sorted(tuning.glob("n*-s*-*")) if group.tuning is not None else []
    runs = [group.directory / planned.run_id for planned in group.runs]
    return [*dict.fromkeys([*known, *begun]), *runs]


@contextmanager
def shown(tracker: Tracker, console: Console) -> Iterator[Callable[[], None]]:
    """Yield a function that brings the display up to date: a bar, or now and then a line."""
    if not console.is_terminal:
        yield _lines(tracker, console)
        return
    columns = (
        BarColumn(),
        TextColumn("{task.fields[runs]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[dim]{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=1.0, runs="", left="", now="")

        def refresh() -> None:
            state = tracker.state()
            progress.update(
                task,
                total=max(1, state.total),
                completed=state.done,
                runs=_runs(state),
                left=_left(state),
                now=state.now,
            )

        yield refresh


def _lines(tracker: Tracker, console: Console) -> Callable[[], None]:
    began = last = time.monotonic()
    said = ""

    def refresh() -> None:
        nonlocal last, said
        now = time.monotonic()
        state = tracker.state()
        complete = state.done >= state.total
        if (now - last < LINE_SECONDS and not complete) or _runs(state) == said:
            return
        last, said = now, _runs(state)
        console.print(f"{said} after {_clock(now - began)}, {_left(state)}")

    return refresh


def _runs(state: State) -> str:
    return f"{int(state.done)} of {state.total} runs"


def _left(state: State) -> str:
    if state.done >= state.total:
        return "drawing and checking"
    if state.seconds_left is None:
        return "time left unknown"
    return f"{_clock(state.seconds_left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
