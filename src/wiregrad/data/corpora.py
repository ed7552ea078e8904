"""Texts for language modelling: `train_text` and `test_text`, uint8 [bytes] of UTF-8.

A text without a split of its own is divided at the end of the line in which 90 % of its bytes are
reached. Texts that are already tokenised (PTB, WikiText) become lines of words with one space
between words; empty lines are kept, since each line ends with ``<eos>``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_bytes, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TRAIN_FRACTION = 0.9
"""Of the bytes of a text without a split of its own."""


def read_whole(files: Mapping[str, Path]) -> Arrays:
    """Format ``text``: one file `text`, plain or compressed.

    Raises DataCorrupt where the text is not UTF-8, or too short to be split.
    """
    raw = read_bytes(files["text"])
    cut = raw.find(b"\n", int(TRAIN_FRACTION * len(raw))) + 1
    if cut in {0, len(raw)}:
        raise DataCorrupt(f"{files['text']}: too short for a training and a test part")
    read_text(files["text"])  # raises where it is not UTF-8
    return {"train_text": _bytes(raw[:cut]), "test_text": _bytes(raw[cut:])}


def read_lines(files: Mapping[str, Path], rows: Mapping[str, int]) -> Arrays:
    """Format ``text-lines``: files `train` and `test`, a sentence or paragraph on each line.

    Raises DataCorrupt where a split does not have the number of lines in `rows`.
    """
    return _joined({s: read_text(files[s]).removesuffix("\n").split("\n") for s in rows}, rows)


def read_lines_jsonl(files: Mapping[str, Path], rows: Mapping[str, int]) -> Arrays:
    """Format ``text-lines-jsonl``: files `train` and `test` with a JSON list [text] on each line.

    Raises DataCorrupt where a split does not have the number of lines in `rows`.
    """
    found = {}
    for split in rows:
        lines = read_text(files[split]).removesuffix("\n").split("\n")
        try:
            found[split] = [str(json.loads(line)[0]) for line in lines]
        except (ValueError, LookupError):
            raise DataCorrupt(f"{files[split]}: not lines of the form [text]") from None
    return _joined(found, rows)


def _joined(found: Mapping[str, list[str]], rows: Mapping[str, int]) -> Arrays:
    for split, lines in found.items():
        if len(lines) != rows[split]:
            raise DataCorrupt(f"{split}: {len(lines)} lines, expected {rows[split]}")
    return {
        f"{split}_text": _bytes("".join(" ".join(line.split()) + "\n" for line in lines).encode())
        for split, lines in found.items()
    }


def _bytes(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, dtype=np.uint8)
