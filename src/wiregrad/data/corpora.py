"""Texts to model: `train_text` and `test_text`, uint8 [bytes] of UTF-8.

A text without a split of its own is cut at the end of the line in which nine tenths of its bytes
end. Texts that are tokenised already (PTB, WikiText) are lines of words: one space between words,
empty lines kept, as each ends with ``<eos>``; `rows` is how many there are, for sets that were
never had offline so that their digest is not known.
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

TRAIN_PART = 0.9


def read_whole(files: Mapping[str, Path]) -> Arrays:
    """Format ``text``: one file `text`."""
    raw = read_bytes(files["text"])
    cut = raw.find(b"\n", int(TRAIN_PART * len(raw))) + 1
    if cut in {0, len(raw)}:
        raise DataCorrupt(f"{files['text']}: too short to be cut into a training and a test part")
    read_text(files["text"])  # what is not UTF-8 is refused here
    return {"train_text": _bytes(raw[:cut]), "test_text": _bytes(raw[cut:])}


def read_lines(files: Mapping[str, Path], rows: Mapping[str, int]) -> Arrays:
    """Format ``text-lines``: files `train` and `test`."""
    return _joined({s: read_text(files[s]).removesuffix("\n").split("\n") for s in rows}, rows)


def read_lines_jsonl(files: Mapping[str, Path], rows: Mapping[str, int]) -> Arrays:
    """Format ``text-lines-jsonl``: files `train` and `test` with a list of one line in each row."""
    found = {}
    for split in rows:
        lines = read_text(files[split]).removesuffix("\n").split("\n")
        try:
            found[split] = [str(json.loads(line)[0]) for line in lines]
        except (ValueError, LookupError):
            raise DataCorrupt(f"{files[split]}: not rows [text]") from None
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
