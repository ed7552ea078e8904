"""The JSON files of groups of runs and of data reports: one schema each, for writers and readers.

`run.json` and the Parquet files of a run are in `wiregrad.runs.record`, `sweep.parquet` in
`wiregrad.studies.sweep.rows`. Torch is not imported here: the workflow and the analysis read files.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from wiregrad.core.errors import ConfigError, RecordError
from wiregrad.core.files import write_json
from wiregrad.runs.record import Outcome, read_model

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


class TuningResult(_File):
    """tuning.json: the learning rates that were tried, their scores, and the best one."""

    grid: tuple[float, ...]
    scores: dict[str, tuple[float | None, ...]]
    """By rate, one value of the metric a seed; null where the run diverged."""
    metric: str
    seeds: tuple[int, ...]
    budget: dict[str, Any]
    best: float | None = None
    """Null where every rate has a diverged run, or nothing was run."""
    edge: bool = False
    """Whether the best rate is at an end of the grid."""
    not_run: NotRun | None = None


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
    edge: tuple[Literal["multiples", "k", "zeta"], ...] | None = None
    """The axes at whose end the best point is; null without one."""
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
