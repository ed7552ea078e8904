"""The files of a run: its history (Parquet) and run card (JSON), both validated on reading.

Histories hold nothing that depends on the clock, so that two runs of the same configuration and
seed can be compared byte by byte; seconds go to `timing.parquet`. Torch is not imported here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_atomic, write_json

SCHEMA_VERSION = 1
Grid = npt.NDArray[np.int8]
"""Choices `[rounds, n]`."""
M = TypeVar("M", bound=pydantic.BaseModel)

HISTORY_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.float64()),
        ("samples", pa.int64()),
        ("loss_train", pa.float64()),
        ("loss_test", pa.float64()),
        ("metric_test", pa.float64()),
        ("grad_norm", pa.float64()),
        ("uplink_bits_wire", pa.int64()),
        ("downlink_bits_wire", pa.int64()),
        ("uplink_bits_paper", pa.int64()),
        ("downlink_bits_paper", pa.int64()),
        ("compression_error", pa.float64()),
        ("staleness_mean", pa.float64()),
        ("staleness_max", pa.int64()),
        ("lr", pa.float64()),
        ("diverged", pa.bool_()),
    ],
    metadata={"wiregrad_history": str(SCHEMA_VERSION)},
)
"""One row per logged step; row `step = 0` is x⁰. NaN where a column was not measured.

Bits are cumulative since the start: uplink as the mean over workers, downlink as one copy of the
broadcast. `epoch` is passes over the training set, `metric_test` is accuracy in [0, 1]. Staleness
is that of the gradients applied since the row before; 0 where rounds are synchronous.
"""

TIMING_SCHEMA = pa.schema(
    [("step", pa.int64()), ("seconds", pa.float64())],
    metadata={"wiregrad_timing": str(SCHEMA_VERSION)},
)
"""Seconds spent in rounds, without evaluations and checkpoints, since the start of the run."""

CHOICES_SCHEMA = pa.schema(
    [("step", pa.int64()), ("worker", pa.int16()), ("choice", pa.int8())],
    metadata={"wiregrad_choices": str(SCHEMA_VERSION)},
)
"""For methods that choose among compressors: one row per round and worker, in this order.

`choice` is the place of the compressor that was used in the method's list, −1 for an empty payload.
It is 0 in a round without a choice.
"""

STALENESS_SCHEMA = pa.schema(
    [
        ("update", pa.int64()),
        ("worker", pa.int64()),
        ("staleness", pa.int64()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("applied", pa.float64()),
    ],
    metadata={"wiregrad_staleness": str(SCHEMA_VERSION)},
)
"""For asynchronous and delayed runs: one row per gradient, in the order in which they were applied.

`update` is the server's update, from 1, that used the gradient of `worker`; `staleness` is the
number of updates since the worker had read x. The gradient was computed from `start` to `end` and
used at `applied`: in simulated seconds; in updates on the delayed runtime; in seconds of the clock
where the workers are processes.
"""

HISTORY, TIMING, CARD = "history.parquet", "timing.parquet", "run.json"
CHOICES = "choices.parquet"
STALENESS = "staleness.parquet"


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    """Its budget was used, or its target met."""
    DIVERGED = "diverged"
    """Something was not finite."""


class RunCard(pydantic.BaseModel):
    """How a history came to be: configuration, code, data, device, and how the run ended."""

    model_config = pydantic.ConfigDict(extra="forbid")

    schema_version: int = pydantic.Field(SCHEMA_VERSION, alias="schema")
    config: dict[str, Any]
    config_sha256: str
    code_sha256: str
    """Digest of the method's code, docstrings and comments apart."""
    git_revision: str
    versions: dict[str, str]
    device: str
    data: dict[str, Any]
    seed: int
    dim: int
    steps: int
    wall_seconds: float
    peak_memory_bytes: int
    control_bytes: int = 0
    outcome: Outcome
    history_sha256: str
    choices_sha256: str | None = None
    staleness_sha256: str | None = None
    messages: dict[str, int] = {}
    """Of a parameter server: messages sent = applied + rejected; processes joined, and lost."""
    final: dict[str, float] = {}
    """The last evaluation, with the validation figures that tuning reads."""
    labels: dict[str, str] = {}
    theory: dict[str, Any] = {}
    """What the learning rate was worked out from, where it is a multiple of the theory's step."""


def write_table(
    path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema = HISTORY_SCHEMA
) -> None:
    """Write rows as Parquet with `schema`, atomically; the bytes depend on the rows alone.

    Columns are numbers and truth values, none missing. Raises KeyError for a row that lacks a
    column, TypeError for a fraction in a column of integers.
    """
    kept = list(rows)
    columns = [_column([row[field.name] for row in kept], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    with write_atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", version="2.6")


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array.

    Not by `pa.array`, which imports pandas: that takes a tenth of a short job's start-up.
    """
    array = np.array(values)
    array = array.astype(kind.to_pandas_dtype(), casting="safe" if values else "unsafe")
    buffer = np.packbits(array, bitorder="little") if pa.types.is_boolean(kind) else array
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(buffer)])


def read_history(path: Path) -> pa.Table:
    """The history at `path`.

    Raises RecordError when it is missing, no Parquet, of another schema version, lacks a column,
    or has steps out of order.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path}: not a readable history ({_one_line(error)})") from None
    found = (table.schema.metadata or {}).get(b"wiregrad_history", b"none").decode()
    if found != str(SCHEMA_VERSION):
        raise RecordError(f"{path}: history schema {found}, allowed: {SCHEMA_VERSION}")
    for field in HISTORY_SCHEMA:
        if field.name not in table.schema.names:
            raise RecordError(f"{path}: column {field.name!r} is missing")
        if table.schema.field(field.name).type != field.type:
            raise RecordError(f"{path}: column {field.name!r} must be {field.type}")
    steps = table.column("step").to_pylist()
    if any(b <= a for a, b in itertools.pairwise(steps)):
        raise RecordError(f"{path}: column 'step' must increase")
    return table.select(HISTORY_SCHEMA.names)


def write_choices(path: Path, choices: Grid) -> None:
    """Write choices `[rounds, n]`, of rounds 1, 2, …, as Parquet, atomically."""
    rounds, n = choices.shape
    columns = (
        np.repeat(np.arange(1, rounds + 1, dtype=np.int64), n),
        np.tile(np.arange(n, dtype=np.int16), rounds),
        np.ascontiguousarray(choices, dtype=np.int8).reshape(-1),
    )
    arrays = [
        pa.Array.from_buffers(field.type, rounds * n, [None, pa.py_buffer(column)])
        for field, column in zip(CHOICES_SCHEMA, columns, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=CHOICES_SCHEMA)
    with write_atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", version="2.6")


def read_choices(path: Path) -> Grid:
    """The choices `[rounds, n]` at `path`; RecordError where it is no such table."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path}: not readable choices ({_one_line(error)})") from None
    if not table.schema.equals(CHOICES_SCHEMA, check_metadata=True):
        raise RecordError(f"{path}: not choices of this version")
    steps, workers, choices = (column.to_numpy() for column in table.columns)
    rounds, n = int(steps.max(initial=0)), int(workers.max(initial=-1)) + 1
    in_order = len(steps) == rounds * n and bool(
        (steps == np.repeat(np.arange(1, rounds + 1), n)).all()
        and (workers == np.tile(np.arange(n), rounds)).all()
    )
    if not in_order:
        raise RecordError(f"{path}: not one row for every round and worker, in order")
    found: Grid = choices.reshape(rounds, n)
    return found


def read_staleness(path: Path) -> pa.Table:
    """The gradients at `path`; RecordError where it is no such table."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path}: not readable staleness ({_one_line(error)})") from None
    if not table.schema.equals(STALENESS_SCHEMA, check_metadata=True):
        raise RecordError(f"{path}: not staleness of this version")
    return table


def write_card(path: Path, card: RunCard) -> None:
    """Write the run card atomically. It is written last, so its presence means a complete run."""
    write_json(path, card.model_dump(by_alias=True))


def read_card(path: Path) -> RunCard:
    """The run card at `path`; RecordError names the file and the key that is wrong."""
    return read_model(RunCard, path)


def read_model(model: type[M], path: Path) -> M:
    """The JSON file at `path` as a `model`; RecordError names the file and the first wrong key."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({_one_line(error)})") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "content"
        raise RecordError(f"{path}: {key}: {first['msg']}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
