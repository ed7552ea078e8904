"""The JSON files of groups of runs and of data reports: one schema each, for writers and readers.

`run.json` and the Parquet files of a run are in `wiregrad.runs.record`, `sweep.parquet` in
`wiregrad.studies.sweep.rows`. Torch is not imported here: the workflow and the analysis read files.
"""

from __future__ import annotations

import math
import statistics
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.core.errors import ConfigError, RecordError
from wiregrad.core.files import write_json
from wiregrad.runs.record import Outcome, read_model

RATE = "method.lr"
"""The key of a run that every tuning searches first."""
SweepAxis = Literal["multiples", "k", "zeta"]
PROGRESS = "progress.json"
"""Name of the file beside a run that is under way."""


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class NotRunKind(StrEnum):
    """Why a group has no runs."""

    NO_DATA = "no_data"
    """No source yields its data set."""
    SKIPPED = "skipped"
    """The configuration leaves it out."""
    DIVERGED = "diverged"
    """Every point of its tuning or sweep diverged."""


class NotRun(_File):
    """Why a group has no runs."""

    kind: NotRunKind
    detail: str

    @property
    def text(self) -> str:
        """The reason in words."""
        return f"no data: {self.detail}" if self.kind is NotRunKind.NO_DATA else self.detail


class ListedRun(_File):
    """One run of a group."""

    id: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9._-]+$")]
    """Its folder in that of the group."""
    seed: int
    workers: int
    outcome: Outcome
    history_sha256: str


class Manifest(_File):
    """group.json: the runs of a group, or why it has none. It is written last."""

    paper: str
    experiment: str
    label: str
    scale: str
    runs: tuple[ListedRun, ...] = ()
    not_run: NotRun | None = None


class TuningPoint(_File):
    """Settings that a tuning tried, and how they scored."""

    settings: dict[str, float]
    """By dotted key of a run configuration; `method.lr` is always among them."""
    values: tuple[float | None, ...]
    """The metric with each seed; null where the run diverged."""

    @property
    def score(self) -> float | None:
        """The mean over the seeds; None where a run diverged."""
        finite = [v for v in self.values if v is not None and math.isfinite(v)]
        whole = bool(finite) and len(finite) == len(self.values)
        return statistics.fmean(finite) if whole else None


class TuningResult(_File):
    """tuning.json: the settings that were tried, their scores, and the best ones.

    Files of before tuning had a cap hold `grid`, `scores` by rate and `edge`; they are read as if
    they had been written in the form of today.
    """

    points: tuple[TuningPoint, ...] = ()
    """In the order of their settings as numbers, rates first."""
    metric: str
    seeds: tuple[int, ...]
    budget: dict[str, Any]
    """That of a trial."""
    best: float | None = None
    """The best rate; null where every point has a diverged run, or nothing was run."""
    chosen: dict[str, float] = {}
    """The best settings by dotted key; `best` among them."""
    settled: bool = False
    """Whether the best has a worse neighbour on both sides, along every axis."""
    unsettled: tuple[str, ...] = ()
    """The axes, by dotted key, along which it has not."""
    cap: int | None = None
    """Values tried on an axis at the most; null where the grid was to stay as it was."""
    not_run: NotRun | None = None

    @property
    def trials(self) -> int:
        """Runs that were made to choose."""
        return sum(len(point.values) for point in self.points)

    @property
    def grid(self) -> tuple[float, ...]:
        """The rates that were tried, in ascending order."""
        return tuple(dict.fromkeys(point.settings[RATE] for point in self.points))

    @property
    def curve(self) -> tuple[TuningPoint, ...]:
        """The points that differ from the best in the rate alone; all, where none is the best."""
        others = {key: value for key, value in self.chosen.items() if key != RATE}
        return tuple(p for p in self.points if others.items() <= p.settings.items())

    @property
    def scores(self) -> dict[str, tuple[float | None, ...]]:
        """The values of the curve by rate, in ascending order."""
        return {repr(point.settings[RATE]): point.values for point in self.curve}

    @property
    def edge(self) -> bool:
        """Whether the best point, or one that equals it, is at an end of what was tried."""
        return self.best is not None and bool(self.unsettled)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_the_old_form(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "grid" not in content:
            return content
        new = {k: v for k, v in content.items() if k not in ("grid", "scores", "edge")}
        scores = content.get("scores") or {}
        tried = {float(rate): scores.get(repr(float(rate)), ()) for rate in content["grid"]}
        new["points"] = [{"settings": {RATE: r}, "values": tried[r]} for r in sorted(tried)]
        best = content.get("best")
        if best is not None:
            inside = min(tried) < best < max(tried)
            new |= {"chosen": {RATE: best}, "settled": inside}
            new["unsettled"] = [] if inside else [RATE]
        return new


class SweepPoint(_File):
    """One point of a sweep's grid; bits, rounds and norm are means over its seeds."""

    k: int | None = None
    """Null where the method has no such parameter; likewise `zeta`."""
    zeta: float | None = None
    multiple: float
    """Of the theory's step; `lr` is the product."""
    lr: float
    reached: bool
    """Whether all seeds reached the tolerance."""
    uplink_bits_paper: float
    iterations: float
    grad_norm: float

    @property
    def text(self) -> str:
        """The point in words, e.g. "K = 1, ζ = 128, 8×"."""
        parts = [] if self.k is None else [f"K = {self.k}"]
        parts += [] if self.zeta is None else [f"ζ = {self.zeta:g}"]
        return ", ".join([*parts, f"{self.multiple:g}×"])


class SweepResult(_File):
    """sweep.json: the best point of a sweep, and what the sweep depends on."""

    best: SweepPoint | None = None
    """Null where every point diverged, or nothing was run."""
    settled: dict[SweepAxis, bool] = {}
    """By axis, whether the best point has a worse neighbour on both sides, or is at a natural end;
    empty without a best point. Of older files, which hold `edge`, the axes that are not."""
    cap: int | None = None
    """Values tried on an axis at the most; null where the grid was to stay as it was."""
    given: dict[str, Any]
    """What the theory of the problem gave all runs, by dotted key of a run configuration."""
    outcomes: dict[str, int]
    """Number of runs by outcome."""
    identity: str
    """Digests of the grid and of the method's code: the sweep is kept while they stay."""
    git_revision: str
    data: dict[str, Any]
    """The data set's provenance."""
    not_run: NotRun | None = None

    @property
    def edge(self) -> tuple[SweepAxis, ...] | None:
        """The axes along which the best point is not settled; None without one."""
        if self.best is None:
            return None
        return tuple(name for name, settled in self.settled.items() if not settled)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_the_old_form(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "edge" not in content:
            return content
        new = {key: value for key, value in content.items() if key != "edge"}
        return new | {"settled": dict.fromkeys(content["edge"] or (), False)}


class DataReport(_File):
    """What came of `wiregrad data fetch`, by its option `--report`."""

    schema_version: Annotated[int, pydantic.Field(alias="schema")] = 1
    name: str
    available: bool
    reason: str | None = None
    """Why the data set is not available."""
    family: str | None = None
    variant: str | None = None
    source: str | None = None
    sha256: str | None = None
    bytes: int | None = None

    @pydantic.model_validator(mode="after")
    def _explained(self) -> DataReport:
        if not self.available and self.reason is None:
            raise ValueError("reason: missing for data that are not available")
        return self


class RoundsDone(_File):
    """progress.json: how far a run is, about once a second; removed when it has ended."""

    done: int
    total: Annotated[int, pydantic.Field(gt=0)]
    """Rounds at the most."""


def write(path: Path, content: pydantic.BaseModel) -> None:
    """Write one of these files as JSON, atomically."""
    write_json(path, content.model_dump(by_alias=True))


def read_manifest(path: Path) -> Manifest:
    """The group.json at `path`; RecordError names the file and the key that is wrong."""
    return read_model(Manifest, path)


def read_tuning(path: Path) -> TuningResult:
    """The tuning.json at `path`; raises RecordError likewise."""
    return read_model(TuningResult, path)


def read_sweep(path: Path) -> SweepResult:
    """The sweep.json at `path`; raises RecordError likewise."""
    return read_model(SweepResult, path)


def read_rounds_done(path: Path) -> RoundsDone:
    """The progress.json at `path`; raises RecordError likewise."""
    return read_model(RoundsDone, path)


def read_data_report(path: Path) -> DataReport:
    """The report at `path`; ConfigError where it is none."""
    try:
        return read_model(DataReport, path)
    except RecordError as error:
        raise ConfigError(f"{path}: not a report of `wiregrad data fetch` ({error})") from None
