"""Histories and run cards: what is written can be read, and what is damaged is refused."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_atomic, write_json
from wiregrad.runs import record


def row(step):
    values = {"int64": step, "double": math.nan, "bool": False}
    return {f.name: values[str(f.type)] for f in record.HISTORY_SCHEMA}


CARD = record.RunCard(
    schema=1,
    config={},
    config_sha256="0",
    code_sha256="0",
    git_revision="r",
    versions={},
    device="cpu",
    data={},
    seed=0,
    dim=1,
    steps=1,
    wall_seconds=0.0,
    peak_memory_bytes=0,
    outcome="completed",
    history_sha256="0",
)


def test_same_rows_same_bytes_and_the_same_rows_come_back(tmp_path):
    for name in ("a", "b"):
        record.write_table(tmp_path / name, [row(0), row(5)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert record.read_history(tmp_path / "a").column("step").to_pylist() == [0, 5]


def test_a_damaged_history_names_the_file_and_what_is_wrong(tmp_path):
    path = tmp_path / "history.parquet"
    with pytest.raises(RecordError, match=r"history.parquet: not a readable history"):
        record.read_history(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(RecordError, match="not a readable history"):
        record.read_history(path)
    record.write_table(path, [row(1), row(0)])
    with pytest.raises(RecordError, match="column 'step' must increase"):
        record.read_history(path)
    table = pa.Table.from_pylist([row(0)], schema=record.HISTORY_SCHEMA)
    pq.write_table(table.drop_columns(["lr"]), path)
    with pytest.raises(RecordError, match="column 'lr' is missing"):
        record.read_history(path)
    pq.write_table(table.replace_schema_metadata({"wiregrad_history": "2"}), path)
    with pytest.raises(RecordError, match="history schema 2, allowed: 1"):
        record.read_history(path)


def test_a_damaged_card_names_the_key(tmp_path):
    path = tmp_path / "run.json"
    record.write_card(path, CARD)
    assert record.read_card(path) == CARD
    broken = json.loads(path.read_text())
    del broken["outcome"]
    path.write_text(json.dumps(broken))
    with pytest.raises(RecordError, match=r"run.json: outcome: Field required"):
        record.read_card(path)
    path.write_text("{")
    with pytest.raises(RecordError, match=r"run.json: content: Invalid JSON"):
        record.read_card(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(IsADirectoryError), write_atomic(path) as temporary:
        tmp_path.write_text("what goes wrong in the middle of a write")
    assert not temporary.exists()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
