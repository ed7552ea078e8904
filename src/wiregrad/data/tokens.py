"""Token ids of texts, computed once for each tokeniser and stored beside the prepared sets.

All tokenisers work offline. ``byte``: the 256 values of a byte. ``word``: words separated by
whitespace, and ``<eos>`` at the end of each line; the vocabulary is the most frequent words of the
training text, ties in alphabetical order, and any other word is ``<unk>``. Any other tokeniser is
given as the content of a ``tokenizer.json``, the file of the `tokenizers` library.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wiregrad.core.errors import DataCorrupt
from wiregrad.data import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenizers import Tokenizer

    from wiregrad.data.files import Arrays
    from wiregrad.data.loading import DataSet

log = logging.getLogger("wiregrad.data")

PADDING = -1
"""Pads a row at its end; no tokeniser has this id."""

SPLITS = ("train", "test")


def encode_sentences(found: DataSet, tokeniser: str, length: int) -> DataSet:
    """Encode a set of labelled sentences, or of pairs (`wiregrad.data.sentences`).

    Args:
        found: The set.
        tokeniser: The content of a tokenizer.json.
        length: Maximal number of tokens of a row, special tokens included; the rest is cut.

    Returns:
        The set with the tensors ``*_tokens`` int32 [N, width], padded at the end by PADDING to the
        width of the longest row; ``*_lengths`` int64 [N]; ``*_labels`` int64 [N]; and for pairs
        ``*_segments`` uint8 [N, width], 0 in the first sentence and 1 in the second.
    """

    def make() -> Arrays:
        from tokenizers import Tokenizer

        tool = Tokenizer.from_str(tokeniser)
        tool.no_padding()
        tool.enable_truncation(length)
        arrays: Arrays = {}
        for split in SPLITS:
            arrays |= _rows(found, split, tool)
        return arrays

    return _cached(found, ["sentences", _sha256(tokeniser), length], make)


def encode_text(found: DataSet, tokeniser: str, limit: int | None = None) -> DataSet:
    """Encode a text (`wiregrad.data.corpora`) as one sequence of tokens for each split.

    Args:
        found: The text.
        tokeniser: "byte", "word", or the content of a tokenizer.json.
        limit: Maximal size of the vocabulary of "word"; None is all words of the training text.

    Returns:
        The set with the tensors ``*_tokens`` [n], uint8 for bytes and int32 otherwise, and ``size``
        int64 [1], the size of the vocabulary.
    """
    if tokeniser == "byte":
        import torch

        tensors = {f"{split}_tokens": found.tensors[f"{split}_text"] for split in SPLITS}
        return replace(found, tensors=tensors | {"size": torch.tensor([256])})
    if tokeniser == "word":
        return _cached(found, ["word", limit], lambda: _words(found, limit))
    return _cached(found, ["stream", _sha256(tokeniser)], lambda: _tokens(found, tokeniser))


def _rows(found: DataSet, split: str, tool: Tokenizer) -> Arrays:
    texts = list(_texts(found, split, "text"))
    pairs = f"{split}_second" in found.tensors
    inputs: Any = texts
    if pairs:
        inputs = list(zip(texts, _texts(found, split, "second"), strict=True))
    encoded = tool.encode_batch(inputs)
    lengths = np.array([len(each.ids) for each in encoded], dtype=np.int64)
    tokens = np.full((len(encoded), lengths.max()), PADDING, dtype=np.int32)
    segments = np.zeros_like(tokens, dtype=np.uint8)
    for row, each in enumerate(encoded):
        tokens[row, : lengths[row]] = each.ids
        segments[row, : lengths[row]] = each.type_ids
    arrays: Arrays = {
        f"{split}_tokens": tokens,
        f"{split}_lengths": lengths,
        f"{split}_labels": found.tensors[f"{split}_labels"].numpy(),
    }
    return arrays | ({f"{split}_segments": segments} if pairs else {})


def _texts(found: DataSet, split: str, part: str) -> Iterator[str]:
    raw = found.tensors[f"{split}_{part}"].numpy().tobytes()
    start = 0
    for end in found.tensors[f"{split}_{part}_ends"].tolist():
        yield raw[start:end].decode()
        start = end


def _words(found: DataSet, limit: int | None) -> Arrays:
    words = {split: _split(_text(found, split)) for split in SPLITS}
    counts = Counter(words["train"])
    del counts["<unk>"]
    chosen = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = ["<unk>", *chosen[: None if limit is None else limit - 1]]
    ids = {word: number for number, word in enumerate(vocabulary)}
    arrays: Arrays = {
        f"{split}_tokens": np.array([ids.get(word, 0) for word in listed], dtype=np.int32)
        for split, listed in words.items()
    }
    written = np.frombuffer("\n".join(vocabulary).encode(), dtype=np.uint8)
    return arrays | {"size": np.array([len(vocabulary)]), "vocabulary": written}


def _split(text: str) -> list[str]:
    lines = text.removesuffix("\n").split("\n")
    return [word for line in lines for word in (*line.split(), "<eos>")]


def _tokens(found: DataSet, tokeniser: str) -> Arrays:
    from tokenizers import Tokenizer

    tool = Tokenizer.from_str(tokeniser)
    tool.no_padding()
    tool.no_truncation()
    arrays: Arrays = {"size": np.array([tool.get_vocab_size()])}
    for split in SPLITS:
        lines = _text(found, split).split("\n")
        encoded = tool.encode_batch([line for line in lines if line.strip()])
        ids: list[npt.NDArray[np.int32]] = [np.array(e.ids, dtype=np.int32) for e in encoded]
        arrays[f"{split}_tokens"] = np.concatenate(ids)
    return arrays


def _text(found: DataSet, split: str) -> str:
    return found.tensors[f"{split}_text"].numpy().tobytes().decode()


def _cached(found: DataSet, how: list[Any], make: Callable[[], Arrays]) -> DataSet:
    """`found` with tensors from the cache or `make`; a hash of text and `how` names the file."""
    name = f"{found.variant}.{_sha256(json.dumps([found.digest, *how]))[:16]}"
    stored = _read(name)
    if stored is None:
        with prepared.workspace(name):
            stored = _read(name)  # another process may have made them while this one waited
            if stored is None:
                prepared.store(name, make(), found.source)
                stored = _read(name)
    if stored is None:
        raise DataCorrupt(f"{prepared.cache_file(name)}: cannot be read back")
    return replace(found, tensors=stored.tensors)


def _read(name: str) -> prepared.Prepared | None:
    try:
        return prepared.read(name, None)
    except DataCorrupt as error:
        log.warning("%s; it is computed again", error)
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
