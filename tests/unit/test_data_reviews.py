"""IMDB: words, vocabulary, order and padding."""

import json

import numpy as np
import pytest

from wiregrad.core.errors import DataCorrupt
from wiregrad.data import reviews


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's<br /><br />GOOD, isn't it?", ["it's", "good", "isn't", "it"]),
        ("'quoted' 10/10", ["quoted", "10", "10"]),
        ("naïve café", ["na", "ve", "caf"]),
    ],
)
def test_words(text, words):
    assert reviews.words_of(text) == words


def test_prepared_tokens(tmp_path):
    train = [[1, "b b b a a c"], [0, "c a"]]
    (tmp_path / "train").write_text(lines(train))
    (tmp_path / "test").write_text(lines([[0, 17, 3, "z b"]]))
    found = reviews.read_jsonl({"train": tmp_path / "train", "test": tmp_path / "test"})
    assert bytes(found["vocabulary"]).decode().split("\n") == ["a", "b", "c"]  # 3, 3, 2 times
    assert found["test_tokens"][0, :4].tolist() == [reviews.UNKNOWN, 3, 0, 0]
    assert found["test_lengths"].tolist() == [2]
    assert found["train_tokens"].shape == (2, 500)
    assert found["train_tokens"].dtype == np.int16
    long = found["train_lengths"].argmax()
    assert found["train_tokens"][long, :7].tolist() == [3, 3, 3, 2, 2, 4, 0]
    assert found["train_labels"][long] == 1


def test_order_and_white_space_of_the_source_do_not_matter(tmp_path):
    rows = [[i % 2, f"review number {i}  is {i * i}"] for i in range(20)]
    (tmp_path / "a").write_text(lines(rows))
    (tmp_path / "b").write_text(lines([[y, t.replace("  ", "\n ")] for y, t in reversed(rows)]))
    first = reviews.read_jsonl({"train": tmp_path / "a"})
    second = reviews.read_jsonl({"train": tmp_path / "b"})
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert len(first["train_labels"]) == 16
    assert np.bincount(first["test_labels"]).tolist() == [2, 2]


def test_long_reviews_are_cut_and_the_vocabulary_is_bounded(tmp_path):
    words = sorted(f"w{i}" for i in range(3000))
    (tmp_path / "train").write_text(lines([[0, " ".join(words)], [1, "x"]]))
    (tmp_path / "test").write_text(lines([[0, "..."], [1, f"{words[1999]} {words[2000]} " * 300]]))
    found = reviews.read_jsonl({"train": tmp_path / "train", "test": tmp_path / "test"})
    assert bytes(found["vocabulary"]).decode().split("\n") == words[:2000]
    assert sorted(found["test_lengths"].tolist()) == [1, 500]  # a review without words has one
    assert found["test_tokens"][found["test_lengths"].argmax(), :3].tolist() == [2001, 1, 2001]


def test_table_takes_the_rows_of_imdb(tmp_path):
    rows = ["text,label,source", '"a ""good"" film",1,imdb', '"bad\nfilm",0,imdb', "other,1,rt"]
    (tmp_path / "t").write_text("\n".join(rows) + "\n")
    found = reviews.read_csv({"data": tmp_path / "t"})
    assert bytes(found["vocabulary"]).decode().split("\n") == ["film", "a", "bad", "good"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[1, "a"]\n{"label": 1}\n', "line 2: not .label, ..., text"),
        ('[1, "a"]\n[0, "b"\n', "line 2: not"),
        ('[2, "a"]\n', "label 2, allowed are 0 and 1"),
        ("", "no reviews"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, message):
    (tmp_path / "bad.jsonl").write_text(text)
    with pytest.raises(DataCorrupt, match=rf"bad\.jsonl.*{message}"):
        reviews.read_jsonl({"train": tmp_path / "bad.jsonl"})


def test_malformed_table_is_named(tmp_path):
    (tmp_path / "bad.csv").write_text("text,label\na,1\n")
    with pytest.raises(DataCorrupt, match=r"bad\.csv: not a table"):
        reviews.read_csv({"data": tmp_path / "bad.csv"})
