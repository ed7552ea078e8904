"""The LIBSVM reader: values, compressions, and one clear line for every malformed file."""

import bz2
import gzip
import hashlib
import lzma

import numpy as np
import pytest

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.libsvm import read_libsvm

TEXT = b"1 1:0.5 3:-2e-1\n2 2:7 # a remark\n\n2\n1 3:1 \n"


def test_reads_a_small_file(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(TEXT)
    found = read_libsvm(path, features=4)
    assert found["crow"].tolist() == [0, 2, 3, 3, 4]
    assert found["col"].tolist() == [0, 2, 1, 2]
    assert found["values"].tolist() == [0.5, -0.2, 7.0, 1.0]
    assert found["labels"].tolist() == [-1.0, 1.0, 1.0, -1.0]
    assert found["shape"].tolist() == [4, 4]
    assert {found[key].dtype for key in ("values", "labels")} == {np.dtype("float64")}


@pytest.mark.parametrize("compress", [lzma.compress, bz2.compress, gzip.compress])
def test_compression_is_told_by_content(tmp_path, compress):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(TEXT)
    packed.write_bytes(compress(TEXT))
    expected, found = read_libsvm(plain), read_libsvm(packed)
    assert all(np.array_equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("compress", [lzma.compress, bz2.compress, gzip.compress])
def test_truncated_file_is_named(tmp_path, compress):
    path = tmp_path / "cut.xz"
    path.write_bytes(compress(TEXT * 50)[:-9])
    with pytest.raises(DataCorrupt, match=r"cut\.xz: truncated or damaged"):
        read_libsvm(path)


def test_agrees_with_scikit_learn(tmp_path):
    from sklearn.datasets import dump_svmlight_file, load_svmlight_file

    rng = np.random.default_rng(5)
    dense = rng.normal(size=(40, 9)) * (rng.random((40, 9)) < 0.4)
    path = tmp_path / "random"
    dump_svmlight_file(dense, rng.choice([-1.0, 1.0], 40), str(path), zero_based=False)
    matrix, labels = load_svmlight_file(str(path), n_features=9, zero_based=False)
    found = read_libsvm(path, features=9)
    assert np.array_equal(found["crow"], matrix.indptr)
    assert np.array_equal(found["col"], matrix.indices)
    assert np.array_equal(found["values"], matrix.data)
    assert np.array_equal(found["labels"], labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1:1\n-1 2:x\n", "line 2: .*'x'"),
        ("1 1:1\n-1 2\n", "line 2: "),
        ("1 1:1\n-1 0:1\n", "line 2: index 0 after 0: indices must ascend from 1"),
        ("1 1:1\n-1 3:1 2:1\n", "line 2: index 2 after 3"),
        ("1 1:nan\n-1 1:1\n", "line 1: 'nan' is not a finite number"),
        ("one 1:1\n", "line 1: .*'one'"),
        ("1 1:1\n-1 6:1\n", "index 6 is above the 5 features"),
        ("1 1:1\n2 1:1\n3 1:1\n", "two labels, this file has 1, 2, 3"),
        ("", "no rows"),
        ("1 1:\u00e9\n", "byte 4 is not ASCII"),
    ],
)
def test_malformed_text_is_named_by_file_and_line(tmp_path, text, message):
    path = tmp_path / "bad.svm"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataCorrupt, match=rf"bad\.svm.*{message}"):
        read_libsvm(path, features=5)


def test_wrong_sha256_is_refused(tmp_path):
    path = tmp_path / "set.xz"
    path.write_bytes(lzma.compress(TEXT))
    read_libsvm(path, sha256=hashlib.sha256(TEXT).hexdigest())
    with pytest.raises(DataCorrupt, match="sha256"):
        read_libsvm(path, sha256="0" * 64)


def test_labels_of_other_tasks_stay_as_they_are(tmp_path):
    path = tmp_path / "regression"
    path.write_text("21.5 1:1\n3 1:2\n-4 1:3\n")
    assert read_libsvm(path, task="regression")["labels"].tolist() == [21.5, 3.0, -4.0]


def test_a_set_is_held_to_its_rows(tmp_path):
    path = tmp_path / "two"
    path.write_text("+1 1:1\n-1 2:1\n")
    assert len(read_libsvm(path, rows=2)["labels"]) == 2
    with pytest.raises(DataCorrupt, match="two: 2 rows, expected 3"):
        read_libsvm(path, rows=3)
