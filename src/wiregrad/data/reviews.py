"""IMDB reviews as token ids, the same from every source.

Preparation. Text: every run of whitespace becomes one space. Order: by the sha256 of that text,
then by label; it does not depend on the order in the source, and mixes the classes. Words:
``<br />`` becomes a space; the rest is lower-cased and divided into runs of ASCII letters and
digits, which may end in an apostrophe and letters ("don't", "film's"). Vocabulary: the 2,000 most
frequent words of the training split, ties in alphabetical order (Li, Karimi, Li 2022, section 5:
2,000 words, length 500). Ids: 0 is padding, 1 any other word, 2 and above the vocabulary by
descending frequency. The first 500 words are kept; shorter reviews are padded at the end.

Tensors, for ``train`` and ``test``: ``*_tokens`` int16 [N, 500], ``*_lengths`` int64 [N] (words
kept, 1..500), ``*_labels`` int64 [N] (0 negative, 1 positive); and ``vocabulary`` uint8 [bytes],
the words in the order of their ids from 2, joined by newlines.

A source with the training half only gives the variant ``imdb-train``, whose test set is the last
fifth of each class in the order above.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

VOCABULARY = 2000
LENGTH = 500
UNKNOWN = 1
FIRST_WORD = 2

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")

Review = tuple[int, str]
"""Label (0 or 1) and text."""

Row = TypeVar("Row", bound="tuple[int, object]")


def read_jsonl(files: Mapping[str, Path]) -> Arrays:
    """Format ``imdb-jsonl``: `train` and, if any, `test`, lines [label, ..., text].

    Raises DataCorrupt, which names the line.
    """
    splits = {role: _jsonl(path) for role, path in files.items()}
    return prepare(splits["train"], splits.get("test"))


def read_csv(files: Mapping[str, Path]) -> Arrays:
    """Format ``imdb-csv``: a table of text, label and source.

    The rows whose source is imdb are the training half. Raises DataCorrupt.
    """
    path = files["data"]
    return prepare(_ordered(reviews_of_table(path), path), None)


def reviews_of_table(path: Path) -> list[Review]:
    """The rows of a table of text, label and source whose source is imdb. Raises DataCorrupt."""
    text = read_text(path)
    limit = csv.field_size_limit(1 << 24)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        return [(int(row["label"]), row["text"]) for row in rows if row["source"] == "imdb"]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataCorrupt(f"{path}: not a table of text, label, source ({error})") from None
    finally:
        csv.field_size_limit(limit)


def prepare(train: Sequence[Review], test: Sequence[Review] | None) -> Arrays:
    """The tensors from reviews in the order above; with `test` None, a fifth of `train` is it."""
    if test is None:
        train, test = split_by_class(train)
    words = {split: [words_of(text) for _, text in rows] for split, rows in
             (("train", train), ("test", test))}  # fmt: skip
    vocabulary = _vocabulary(words["train"])
    ids = {word: FIRST_WORD + rank for rank, word in enumerate(vocabulary)}
    arrays: Arrays = {"vocabulary": np.frombuffer("\n".join(vocabulary).encode(), dtype=np.uint8)}
    for split, rows in (("train", train), ("test", test)):
        tokens = np.zeros((len(rows), LENGTH), dtype=np.int16)
        lengths = np.zeros(len(rows), dtype=np.int64)
        for row, review in enumerate(words[split]):
            kept = [ids.get(word, UNKNOWN) for word in review[:LENGTH]] or [UNKNOWN]
            tokens[row, : len(kept)] = kept
            lengths[row] = len(kept)
        arrays[f"{split}_tokens"] = tokens
        arrays[f"{split}_lengths"] = lengths
        arrays[f"{split}_labels"] = np.array([label for label, _ in rows], dtype=np.int64)
    return arrays


def words_of(text: str) -> list[str]:
    """The words of a review, by the rules of this module."""
    return _WORD.findall(text.replace("<br />", " ").lower())


def _vocabulary(reviews: Iterable[list[str]]) -> list[str]:
    counts: Counter[str] = Counter()
    for review in reviews:
        counts.update(review)
    return sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY]


def split_by_class(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """All but the last fifth of each class, and that fifth, both in the order of `rows`.

    A row is a tuple that begins with its label, 0 or 1.
    """
    test: set[int] = set()
    for label in (0, 1):
        mine = [number for number, row in enumerate(rows) if row[0] == label]
        test.update(mine[len(mine) - len(mine) // 5 :])
    return (
        [row for number, row in enumerate(rows) if number not in test],
        [row for number, row in enumerate(rows) if number in test],
    )


def _jsonl(path: Path) -> list[Review]:
    reviews = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            reviews.append((int(row[0]), str(row[-1])))
        except (ValueError, TypeError, LookupError):
            raise DataCorrupt(f"{path}, line {number}: not [label, ..., text]") from None
    return _ordered(reviews, path)


def _ordered(reviews: Iterable[Review], path: Path) -> list[Review]:
    keyed = []
    for label, text in reviews:
        if label not in (0, 1):
            raise DataCorrupt(f"{path}: label {label}, allowed are 0 and 1")
        clean = " ".join(text.split())
        keyed.append((hashlib.sha256(clean.encode()).digest(), label, clean))
    if not keyed:
        raise DataCorrupt(f"{path}: no reviews")
    return [(label, clean) for _, label, clean in sorted(keyed)]
