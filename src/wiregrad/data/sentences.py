"""Labelled sentences and pairs of sentences as text, the same from every source.

These are SST-2, CoLA and RTE of GLUE, AG News (descriptions without titles) and IMDB. The test
labels of GLUE are not public, so that its development sets are the test sets here.

Preparation. ``<br />`` and every run of whitespace become one space. Order: by the sha256 of that
text, then by label; it does not depend on the order in the source, and mixes the classes.

Tensors, for ``train`` and ``test``: ``*_text`` uint8 [bytes], all texts in UTF-8 one after the
other; ``*_text_ends`` int64 [N], where each text ends; ``*_labels`` int64 [N]. For pairs (RTE) the
second sentences are ``*_second`` and ``*_second_ends``. `wiregrad.data.tokens` turns texts into
token ids.

A source of IMDB with the training half only gives the variant ``imdb-text-train``, whose test set
is the last fifth of each class in the order above.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_text
from wiregrad.data.reviews import reviews_of_table, split_by_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Row = tuple[int, tuple[str, ...]]
"""A label, and one or two texts."""

PARTS = ("text", "second")
"""Names of the tensors of the first and of the second text."""

FIELD_LIMIT = 1 << 24
"""Characters of a cell, at most; the csv module's own limit is 131,072."""


@dataclass(frozen=True)
class SentenceTable:
    """How a table holds labels and texts."""

    label: int
    """Column of the label, from 0."""
    texts: tuple[int, ...]
    """Columns of the texts, from 0."""
    labels: tuple[str, ...] = ("0", "1")
    """What stands in the table for the labels 0, 1, ..."""
    header: bool = False
    """Whether the first line has the names of the columns."""
    quoted: bool = False
    """Whether it is a CSV file with quotes; otherwise cells are separated by tabs."""


TOPICS = ("World", "Sports", "Business", "Sci/Tech")

SST2 = SentenceTable(label=1, texts=(0,), header=True)
COLA = SentenceTable(label=1, texts=(3,))
RTE = SentenceTable(label=3, texts=(1, 2), labels=("entailment", "not_entailment"), header=True)
AG_NEWS = SentenceTable(label=1, texts=(0,), labels=TOPICS)
AG_NEWS_CSV = SentenceTable(label=0, texts=(2,), labels=("1", "2", "3", "4"), quoted=True)


def read_table(
    files: Mapping[str, Path], table: SentenceTable, rows: Mapping[str, int] | None = None
) -> Arrays:
    """The tensors from files `train` and `test` in the form of `table`.

    Raises DataCorrupt where a file is not such a table, or has not the given number of `rows`.
    """
    splits = {role: _table(path, table) for role, path in files.items()}
    for split, expected in (rows or {}).items():
        if len(splits[split]) != expected:
            raise DataCorrupt(f"{split}: {len(splits[split])} rows, expected {expected}")
    return prepare(splits)


def read_jsonl(files: Mapping[str, Path], texts: int = 1) -> Arrays:
    """The tensors from files `train` and, if any, `test` or `validation`.

    Their lines are [label, ..., text]. `texts`, 1 or 2, is how many of the last items of a line
    are texts. Raises DataCorrupt.
    """
    return prepare({role: _jsonl(path, texts) for role, path in files.items()})


def read_reviews_table(files: Mapping[str, Path]) -> Arrays:
    """Format ``imdb-text-csv``: the file `data`, a table of text, label and source.

    The rows whose source is imdb are the training half. Raises DataCorrupt.
    """
    reviews = reviews_of_table(files["data"])
    return prepare({"train": [(label, (text,)) for label, text in reviews]})


def prepare(splits: Mapping[str, Sequence[Row]]) -> Arrays:
    """The tensors from the rows of `train` and of `test` (or `validation`).

    Without either, the last fifth of each of the classes 0 and 1 of `train` is the test set.
    """
    train = _ordered(splits["train"])
    given = splits.get("test") or splits.get("validation")
    train, test = (train, _ordered(given)) if given else split_by_class(train)
    arrays: Arrays = {}
    for split, ordered in (("train", train), ("test", test)):
        arrays[f"{split}_labels"] = np.array([label for label, _ in ordered], dtype=np.int64)
        for column, part in enumerate(PARTS[: len(ordered[0][1])]):
            encoded = [texts[column].encode() for _, texts in ordered]
            arrays[f"{split}_{part}"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            ends = np.fromiter(accumulate(map(len, encoded)), dtype=np.int64)
            arrays[f"{split}_{part}_ends"] = ends
    return arrays


def _ordered(rows: Iterable[Row]) -> list[Row]:
    keyed = []
    for label, texts in rows:
        clean = tuple(" ".join(text.replace("<br />", " ").split()) for text in texts)
        keyed.append((hashlib.sha256("\t".join(clean).encode()).digest(), label, clean))
    return [(label, clean) for _, label, clean in sorted(keyed)]


def _table(path: Path, table: SentenceTable) -> list[Row]:
    numbers = {name: number for number, name in enumerate(table.labels)}
    rows = []
    for number, cells in enumerate(_cells(path, table), start=1):
        if number == 1 and table.header:
            continue
        try:
            rows.append((numbers[cells[table.label]], tuple(cells[i] for i in table.texts)))
        except LookupError:
            raise DataCorrupt(
                f"{path}, row {number}: no label of {', '.join(table.labels)} in column "
                f"{table.label + 1}, or no text in {', '.join(str(i + 1) for i in table.texts)}"
            ) from None
    if not rows:
        raise DataCorrupt(f"{path}: no rows")
    return rows


def _cells(path: Path, table: SentenceTable) -> Iterable[list[str]]:
    text = read_text(path)
    if not table.quoted:
        return [line.split("\t") for line in text.split("\n") if line]
    limit = csv.field_size_limit(FIELD_LIMIT)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise DataCorrupt(f"{path}: not a table ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _jsonl(path: Path, texts: int) -> list[Row]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            found = tuple(row[1:][-texts:])
            if len(found) != texts or not all(isinstance(text, str) for text in found):
                raise ValueError(line)
            rows.append((int(row[0]), found))
        except (ValueError, TypeError, LookupError):
            raise DataCorrupt(f"{path}, line {number}: not [label, ..., text]") from None
    if not rows:
        raise DataCorrupt(f"{path}: no rows")
    return rows
