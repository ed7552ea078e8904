"""Histories of a plan as one tidy table, and the numbers taken from it: one value a run.

Columns are those of the history (see `wiregrad.record.HISTORY_SCHEMA`) and paper, experiment,
label, title, workers, seed, run_id, outcome; one row per logged step of each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import pandas as pd
import pydantic

from wiregrad import fsio, record
from wiregrad.errors import RecordError

if TYPE_CHECKING:
    from wiregrad.plan import Group, Plan

RUN_COLUMNS = ["paper", "experiment", "label", "title", "workers", "seed", "run_id", "outcome"]
COLUMNS = [*record.HISTORY_SCHEMA.names, *RUN_COLUMNS]
RUN_KEYS = ["label", "workers", "seed"]

At = Literal["final"] | Mapping[str, float]
"""Where along a run a value is taken: its end, or e.g. ``{"epoch": 5}``."""


NOT_YET = "not run yet"
M = TypeVar("M", bound=pydantic.BaseModel)


class ListedRun(pydantic.BaseModel):
    """One entry of `runs` in group.json."""

    id: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]+$")]
    seed: int
    workers: int
    outcome: str
    history_sha256: str


class Manifest(pydantic.BaseModel):
    """group.json: what one train job did."""

    runs: list[ListedRun] = []
    not_run: str | None = None


class Tuned(pydantic.BaseModel):
    """tuning.json: the grid of learning rates and the one that won on the validation split."""

    grid: list[float]
    best: float | None = None
    edge: bool = False
    metric: str = ""
    scores: dict[str, list[float | None]] = {}
    seeds: list[int] = []
    budget: dict[str, Any] = {}


@dataclass(frozen=True)
class GroupResult:
    """What is known about one group of runs: one method of one experiment."""

    paper: str
    experiment: str
    label: str
    title: str
    planned: int
    reason: str | None = None
    cards: tuple[record.RunCard, ...] = ()
    tuning: Tuned | None = None
    directory: Path | None = None

    @property
    def diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(card.outcome == "diverged" for card in self.cards)

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


@dataclass(frozen=True)
class Results:
    """All histories of a plan, with the groups that were not run and their reasons."""

    scale: str
    frame: pd.DataFrame
    groups: tuple[GroupResult, ...]
    colours: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """All method labels, in the order of the method list (which decides colours)."""

    def of(self, paper: str, experiment: str | None = None) -> Results:
        """The part that belongs to one paper, or to one of its experiments."""

        def match(item: Any) -> Any:
            hit = item.paper == paper
            return hit if experiment is None else hit & (item.experiment == experiment)

        groups = tuple(group for group in self.groups if match(group))
        return replace(self, frame=self.frame[match(self.frame)], groups=groups)

    def group(self, label: str) -> GroupResult | None:
        """The group of `label`; call it on the results of one experiment."""
        return next((group for group in self.groups if group.label == label), None)

    @cached_property
    def revisions(self) -> tuple[str, ...]:
        """The git revisions that made these runs, sorted."""
        return tuple(sorted({c.git_revision for g in self.groups for c in g.cards}))

    @cached_property
    def history_digests(self) -> tuple[str, ...]:
        """The sha256 of every history, sorted: what these results are a function of."""
        return tuple(sorted(c.history_sha256 for g in self.groups for c in g.cards))


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
        planned=len(planned.runs),
        reason=planned.skip,
        directory=planned.directory,
    )
    if not planned.manifest.exists():
        return replace(base, reason=planned.skip or NOT_YET), []
    listed = _read(Manifest, planned.manifest)
    cards, frames = [], []
    for run in listed.runs:
        card, history = _read_run(planned.directory / run.id, run.history_sha256)
        cards.append(card)
        frames.append(_labelled(history, base, run, card))
    found = replace(
        base,
        reason=listed.not_run or (None if cards else planned.skip or NOT_YET),
        cards=tuple(cards),
        tuning=_read(Tuned, planned.tuning_file) if planned.tuning_file.exists() else None,
    )
    return found, frames


def _read_run(directory: Path, sha256: str) -> tuple[record.RunCard, pd.DataFrame]:
    path = directory / record.HISTORY
    card = record.read_card(directory / record.CARD)
    history = record.read_history(path)
    if not fsio.sha256_file(path) == sha256 == card.history_sha256:
        raise RecordError(f"{path}: not the history that its group.json and run.json name (sha256)")
    return card, history.to_pandas()


def _labelled(
    history: pd.DataFrame, group: GroupResult, run: ListedRun, card: record.RunCard
) -> pd.DataFrame:
    return history.assign(
        paper=group.paper,
        experiment=group.experiment,
        label=group.label,
        title=group.title,
        workers=run.workers,
        seed=card.seed,
        run_id=run.id,
        outcome=card.outcome,
    )[COLUMNS]


def _read(model: type[M], path: Path) -> M:
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "content"
        raise RecordError(f"{path}: {key}: {first['msg']}") from None


def per_run(frame: pd.DataFrame, column: str, at: At = "final") -> pd.DataFrame:
    """One row a run: label, workers, seed, run_id, diverged, value of `column` at `at`.

    At the end it is the last measured value; at a given epoch (or step) it is interpolated
    between logged rows. NaN when the run did not get there, and when it diverged.
    """
    rows = []
    for run_id, run in frame.groupby(["experiment", "label", "run_id"], sort=False):
        diverged = bool((run["outcome"] == "diverged").any())
        value = np.nan if diverged else _value_at(run, column, at)
        rows.append(_run_row(run, diverged=diverged, value=value) | {"run_id": run_id[2]})
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "run_id", "diverged", "value"])


def _run_row(run: pd.DataFrame, **values: Any) -> dict[str, Any]:
    return {key: run[key].iloc[0] for key in RUN_KEYS} | values


def _value_at(run: pd.DataFrame, column: str, at: At) -> float:
    axis = "step" if at == "final" else next(iter(at))
    measured = run[[axis, column]].astype("float64").dropna().sort_values(axis)
    if measured.empty:
        return float("nan")
    if at == "final":
        return float(measured[column].iloc[-1])
    where = float(at[axis])
    return float(np.interp(where, measured[axis], measured[column], left=np.nan, right=np.nan))


def first_crossing(
    frame: pd.DataFrame, column: str, target: float, x: str, *, rising: bool = False
) -> pd.DataFrame:
    """What each run spent, in units of column `x`, until `column` first reached `target`.

    One row a run: label, workers, seed, censored, value (interpolated linearly between logged
    rows; NaN if censored) and spent (x at the run's end). A run that never got there is censored.
    """
    rows = []
    for _, run in frame.groupby(["experiment", "label", "run_id"], sort=False):
        value = _crossing(run, column, target, x, rising)
        spent = float(run[x].max())
        rows.append(_run_row(run, censored=bool(np.isnan(value)), value=value, spent=spent))
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "censored", "value", "spent"])


def _crossing(run: pd.DataFrame, column: str, target: float, x: str, rising: bool) -> float:
    measured = run.sort_values("step")[list(dict.fromkeys([x, column]))].astype("float64").dropna()
    xs, ys = measured[x].to_numpy(), measured[column].to_numpy()
    gap = (target - ys) if rising else (ys - target)
    reached = np.flatnonzero(gap <= 0)
    if reached.size == 0:
        return float("nan")
    i = int(reached[0])
    if i == 0:
        return float(xs[0])
    share = gap[i - 1] / (gap[i - 1] - gap[i])
    return float(xs[i - 1] + share * (xs[i] - xs[i - 1]))


def on_common_x(frame: pd.DataFrame, x: str, columns: Sequence[str]) -> pd.DataFrame:
    """The runs of one curve (one label, one number of workers), interpolated onto common x.

    Runs that were logged at the same x are returned as they are. Else the grid is that of the run
    with the fewest rows, and a run has NaN outside the range it covers.
    """
    runs = [run.sort_values("step") for _, run in frame.groupby("run_id", sort=True)]
    if len(runs) < 2:
        return frame
    grid = min(runs, key=len)[x].to_numpy(dtype="float64")
    alike = all(run[x].isin(grid).all() for run in runs)
    if alike:
        return frame
    parts = [_interpolated(run, grid, x, columns) for run in runs]
    return pd.concat(parts, ignore_index=True)


def _interpolated(
    run: pd.DataFrame, grid: np.ndarray[Any, Any], x: str, columns: Sequence[str]
) -> pd.DataFrame:
    part = {key: run[key].iloc[0] for key in RUN_COLUMNS} | {x: grid}
    for column in (c for c in columns if c != x):
        known = run[[x, column]].astype("float64").dropna()
        if known.empty:
            part[column] = np.full(grid.shape, np.nan)
        else:
            part[column] = np.interp(grid, known[x], known[column], left=np.nan, right=np.nan)
    return pd.DataFrame(part)


def over_seeds(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Median, lowest and highest of `y` at each x over the seeds of one curve.

    Columns x, median, low, high, n; call it on the frame of `on_common_x`.
    """
    measured = frame[[x, y]].dropna()
    table = measured.groupby(x)[y].agg(median="median", low="min", high="max", n="count")
    return table.reset_index()
