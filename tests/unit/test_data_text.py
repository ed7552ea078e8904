"""Sentences and texts: columns, order, splits, tokens."""

import json

import numpy as np
import pytest
import torch
from tiny_data import text_set

from wiregrad.core.errors import DataCorrupt
from wiregrad.data import corpora, sentences, tokens


def texts_of(arrays, split, part="text"):
    raw, ends = bytes(arrays[f"{split}_{part}"]), arrays[f"{split}_{part}_ends"].tolist()
    return [raw[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]


def rows_of(arrays, split):
    return set(zip(arrays[f"{split}_labels"].tolist(), texts_of(arrays, split), strict=True))


@pytest.mark.parametrize(
    ("table", "text", "rows"),
    [
        (
            sentences.SST2,
            'sentence\tlabel\nthe " naïve  film \t1\nso<br />dull\t0\n',
            {(1, 'the " naïve film'), (0, "so dull")},
        ),
        (
            sentences.COLA,
            "gj04\t1\t\tOurs is.\nbc01\t0\t*\tIs ours is.",
            {(1, "Ours is."), (0, "Is ours is.")},
        ),
        (
            sentences.AG_NEWS,
            "Oil rose.\tBusiness\nA goal.\tSports\n",
            {(2, "Oil rose."), (1, "A goal.")},
        ),
        (
            sentences.AG_NEWS_CSV,
            '"3","Oil","It ""rose"".\nAgain."\n"1","T","x, y"\n',
            {(2, 'It "rose". Again.'), (0, "x, y")},
        ),
    ],
)
def test_columns_of_tables(tmp_path, table, text, rows):
    (tmp_path / "f").write_text(text)
    found = sentences.read_table({"train": tmp_path / "f", "test": tmp_path / "f"}, table)
    assert rows_of(found, "train") == rows_of(found, "test") == rows


def test_pairs_are_the_same_from_a_table_and_from_the_hub(tmp_path):
    (tmp_path / "t").write_text(
        "index\tsentence1\tsentence2\tlabel\n0\ta b\tc\tnot_entailment\n1\td\te é\tentailment\n"
    )
    (tmp_path / "h").write_text('[0, "d", "e \\u00e9"]\n[1, "a b", "c"]\n')
    table = sentences.read_table({"train": tmp_path / "t", "test": tmp_path / "t"}, sentences.RTE)
    hub = sentences.read_jsonl({"train": tmp_path / "h", "validation": tmp_path / "h"}, texts=2)
    assert table.keys() == hub.keys()
    assert all(np.array_equal(table[key], hub[key]) for key in table)
    first = texts_of(table, "train").index("a b")
    assert texts_of(table, "train", "second")[first] == "c"
    assert table["train_labels"][first] == 1


def test_a_training_half_alone_gives_its_last_fifth_of_each_class_to_test(tmp_path):
    rows = [(number % 2, f"film<br />{number}") for number in range(20)]
    lines = ["text,label,source", *(f"{text},{label},imdb" for label, text in rows), "x,1,rt"]
    (tmp_path / "t").write_text("\n".join(lines) + "\n")
    (tmp_path / "h").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = sentences.read_reviews_table({"data": tmp_path / "t"})
    hub = sentences.read_jsonl({"train": tmp_path / "h"})
    assert table.keys() == hub.keys()
    assert all(np.array_equal(table[key], hub[key]) for key in table)
    assert np.bincount(table["test_labels"]).tolist() == [2, 2]
    assert rows_of(table, "train") | rows_of(table, "test") == {
        (label, text.replace("<br />", " ")) for label, text in rows
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence\tlabel\na\t1\nb\t2\n", r"f, row 3: no label of 0, 1 in column 2"),
        ("sentence\tlabel\na\n", r"f, row 2: no label"),
        ("sentence\tlabel\n", "no rows"),
    ],
)
def test_malformed_tables_are_named(tmp_path, text, message):
    (tmp_path / "f").write_text(text)
    with pytest.raises(DataCorrupt, match=message):
        sentences.read_table({"train": tmp_path / "f", "test": tmp_path / "f"}, sentences.SST2)


def test_sets_that_were_never_had_are_held_to_their_rows(tmp_path):
    (tmp_path / "f").write_text('"1","t","x"\n')
    files = {"train": tmp_path / "f", "test": tmp_path / "f"}
    with pytest.raises(DataCorrupt, match="test: 1 rows, expected 2"):
        sentences.read_table(files, sentences.AG_NEWS_CSV, rows={"train": 1, "test": 2})
    with pytest.raises(DataCorrupt, match="train: 1 lines, expected 3"):
        corpora.read_lines(files, rows={"train": 3, "test": 1})


def test_texts_are_cut_at_the_end_of_a_line_and_lines_have_one_space(tmp_path):
    (tmp_path / "w").write_text("one\n" * 10 + "é" * 40 + "\nlast\n")
    found = corpora.read_whole({"text": tmp_path / "w"})
    assert bytes(found["test_text"]).decode() == "last\n"
    (tmp_path / "l").write_text(" = A = \n\n b  <unk> \n")
    (tmp_path / "j").write_text(
        "".join(json.dumps([t]) + "\n" for t in (" = A = \n", "\n", "b <unk>"))
    )
    rows = {"train": 3, "test": 3}
    lines = corpora.read_lines({"train": tmp_path / "l", "test": tmp_path / "l"}, rows)
    hub = corpora.read_lines_jsonl({"train": tmp_path / "j", "test": tmp_path / "j"}, rows)
    assert bytes(lines["train_text"]).decode() == "= A =\n\nb <unk>\n"
    assert all(np.array_equal(lines[key], hub[key]) for key in lines)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))
    return tmp_path


def test_words_are_numbered_by_their_frequency_in_the_training_text(cache):
    found = text_set({"train": "b a b\nb c <unk>\n", "test": "a z b\n"})
    read = tokens.encode_text(found, "word")
    vocabulary = bytes(read.tensors["vocabulary"].numpy()).decode().split("\n")
    assert vocabulary == ["<unk>", "b", "<eos>", "a", "c"]
    assert read.tensors["train_tokens"].tolist() == [1, 3, 1, 2, 1, 4, 0, 2]
    assert read.tensors["test_tokens"].tolist() == [3, 0, 1, 2]
    assert tokens.encode_text(found, "word", 3).tensors["test_tokens"].tolist() == [0, 0, 1, 2]
    assert tokens.encode_text(found, "byte").tensors["test_tokens"].tolist() == list(b"a z b\n")


def test_sentences_are_cut_and_padded_and_pairs_have_segments(cache):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tool = Tokenizer(models.WordLevel({"?": 0, "[S]": 1, "a": 2, "b": 3}, unk_token="?"))  # noqa: S106
    tool.pre_tokenizer = pre_tokenizers.Whitespace()
    tool.post_processor = processors.TemplateProcessing(
        single="[S] $A [S]", pair="[S] $A [S] $B:1 [S]:1", special_tokens=[("[S]", 1)]
    )
    rows = [(0, ("a b a b", "b")), (1, ("a", "c"))]
    arrays = sentences.prepare({"train": rows, "test": rows})
    found = text_set({}, {k: torch.from_numpy(v.copy()) for k, v in arrays.items()})
    read = tokens.encode_sentences(found, tool.to_str(), 6).tensors
    long = read["train_lengths"].argmax()
    assert (
        read["train_tokens"][long].tolist() == [1, 2, 3, 1, 3, 1]
        or read["train_lengths"][long] == 6
    )
    assert read["train_tokens"][1 - long].tolist() == [1, 2, 1, 0, 1, tokens.PADDING]
    assert read["train_segments"][1 - long].tolist() == [0, 0, 0, 1, 1, 0]
    assert read["train_labels"][1 - long] == 1


def test_cached_tokens_are_those_of_the_text_and_are_computed_again_if_damaged(cache):
    found = text_set({"train": "a b\n", "test": "b\n"})
    other = text_set({"train": "b b a\n", "test": "b\n"})
    first = tokens.encode_text(found, "word").tensors["train_tokens"].tolist()
    assert tokens.encode_text(other, "word").tensors["train_tokens"].tolist() != first
    for path in cache.glob("data/*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    assert tokens.encode_text(found, "word").tensors["train_tokens"].tolist() == first
