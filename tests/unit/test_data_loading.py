"""Prepared cache, order of sources, and the one line when there is no data.

The set is a small LIBSVM file in a mirror made here, added through WIREGRAD_CATALOGUE.
"""

import hashlib
import json
import logging
import lzma
import shutil

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from wiregrad import data
from wiregrad.cli.data import app
from wiregrad.core.errors import ConfigError, DataCorrupt, DataUnavailable
from wiregrad.data import prepared
from wiregrad.data.libsvm import read_libsvm

TEXT = b"1 1:0.5\n2 2:7\n1 3:1\n"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror folder with one set, `tiny`, in the catalogue; `tiny-b` is a set it lacks."""
    folder = tmp_path / "mirror"
    (folder / "libsvm").mkdir(parents=True)
    path = folder / "libsvm/tiny.xz"
    path.write_bytes(lzma.compress(TEXT))
    sums = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{sums}  ./libsvm/tiny.xz\n")
    entry = {
        "family": "tiny",
        "title": "three rows",
        "licence": "none",
        "cite": "nobody",
        "bytes": 176,
        "digest": prepared.digest(read_libsvm(path, features=4)),
        "options": {"features": 4, "sha256": hashlib.sha256(TEXT).hexdigest()},
        "sources": [
            {"kind": "mirror", "format": "libsvm", "files": {"data": "libsvm/tiny.xz"}},
        ],
    }
    other = entry | {
        "sources": [{"kind": "mirror", "format": "libsvm", "files": {"data": "libsvm/b.xz"}}]
    }
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump({"sets": {"tiny": entry, "tiny-b": other}}))
    monkeypatch.setenv("WIREGRAD_CATALOGUE", str(catalogue))
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WIREGRAD_MIRROR", str(folder))
    monkeypatch.delenv("WIREGRAD_SOURCES", raising=False)
    return folder


def test_load_prepares_once_and_needs_no_source_again(mirror):
    first = data.load("tiny")
    shutil.rmtree(mirror)
    second = data.load("tiny")
    assert (second.name, second.variant, second.source) == ("tiny", "tiny", "mirror")
    assert second.digest == first.digest == data.entry("tiny").digest
    assert second.tensors["labels"].tolist() == [-1.0, 1.0, -1.0]
    assert second.tensors["shape"].tolist() == [3, 4]
    left = {path.name for path in prepared.cache_file("tiny").parent.iterdir()}
    assert left <= {"tiny.safetensors", "tiny.lock"}


def test_changing_a_tensor_leaves_the_prepared_file_alone(mirror):
    data.load("tiny").tensors["values"][:] = 99
    assert data.load("tiny").tensors["values"].tolist() == [0.5, 7.0, 1.0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-5],
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda _: b"",
        lambda raw: b"\xff" * len(raw),
    ],
    ids=["truncated", "one bit", "empty", "garbage"],
)
def test_damaged_cache_is_found_and_fetched_again(mirror, caplog, damage):
    digest = data.load("tiny").digest
    path = prepared.cache_file("tiny")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataCorrupt, match=r"tiny\.safetensors"):
        prepared.read("tiny", digest)
    with caplog.at_level(logging.WARNING):
        assert data.load("tiny").digest == digest
    assert "it is fetched again" in caplog.text
    assert prepared.read("tiny", digest) is not None


def test_cache_of_another_preparation_is_replaced(mirror):
    prepared.store("tiny", {"labels": np.zeros(3)}, "an older version")
    assert data.load("tiny").source == "mirror"


def test_wrong_sha256_in_the_mirror(mirror):
    sums = mirror / "SHA256SUMS"
    sums.write_text("0" * 64 + "  ./libsvm/tiny.xz\n")
    with pytest.raises(DataUnavailable, match=r"tiny: no data: mirror: .*tiny\.xz: sha256 is"):
        data.load("tiny")
    sums.write_text("0123  ./libsvm/tiny.xz\n")
    with pytest.raises(DataUnavailable, match="SHA256SUMS, line 1: not 'SHA256  NAME'"):
        data.load("tiny")
    assert not prepared.cache_file("tiny").exists()


def test_tensors_other_than_the_catalogue_says_are_refused(mirror):
    path = mirror / "libsvm/tiny.xz"
    path.write_bytes(lzma.compress(TEXT.replace(b"0.5", b"0.6")))
    (mirror / "SHA256SUMS").write_text(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./libsvm/tiny.xz\n"
    )
    with pytest.raises(DataUnavailable, match="sha256"):
        data.load("tiny")


def test_no_data_is_one_line_with_every_reason(mirror, monkeypatch):
    with pytest.raises(DataUnavailable, match=r"tiny-b: no data: mirror: libsvm/b\.xz is not in"):
        data.load("tiny-b")
    monkeypatch.delenv("WIREGRAD_MIRROR")
    with pytest.raises(DataUnavailable) as caught:
        data.load("tiny-b|tiny")
    assert str(caught.value) == (
        "tiny-b: no data: mirror: WIREGRAD_MIRROR is not set; "
        "tiny: no data: mirror: WIREGRAD_MIRROR is not set"
    )


def test_preference_list_takes_the_first_that_can_be_had(mirror):
    assert data.load("tiny-b|tiny").variant == "tiny"


def test_sources_can_be_ruled_out(mirror, monkeypatch):
    monkeypatch.setenv("WIREGRAD_SOURCES", "official, package")
    with pytest.raises(DataUnavailable, match="mirror: ruled out by WIREGRAD_SOURCES"):
        data.load("tiny")
    monkeypatch.setenv("WIREGRAD_SOURCES", "miror")
    with pytest.raises(ConfigError, match="'miror' is not one of mirror, official, package"):
        data.load("tiny")


def test_cache_that_cannot_be_written(mirror, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match="WIREGRAD_CACHE names another folder"):
        data.load("tiny")


@pytest.mark.parametrize(
    "other",
    [
        {"b": np.arange(4.0)},
        {"a": np.arange(4, dtype=np.float32)},
        {"a": np.arange(4.0).reshape(2, 2)},
        {"a": np.array([0.0, 1.0, 3.0, 2.0])},
    ],
    ids=["name", "dtype", "shape", "values"],
)
def test_digest_tells_apart(other):
    assert prepared.digest({"a": np.arange(4.0)}) != prepared.digest(other)


def test_digest_is_of_values_not_of_memory_layout():
    table = np.arange(6.0).reshape(2, 3)
    assert prepared.digest({"a": table}) == prepared.digest({"a": np.asfortranarray(table)})


def test_cli_fetch_reports_and_fails(mirror, tmp_path):
    run = CliRunner().invoke
    report = tmp_path / "tiny.json"
    done = run(app, ["fetch", "tiny", "--report", str(report)])
    assert done.exit_code == 0
    assert "tiny: ready, from mirror" in done.output
    told = json.loads(report.read_text())
    assert told["available"] is True
    assert told["sha256"] == data.entry("tiny").digest

    done = run(app, ["fetch", "tiny-b", "--report", str(report)])
    assert done.exit_code == 0
    told = json.loads(report.read_text())
    assert told["available"] is False
    assert "not in the mirror's SHA256SUMS" in told["reason"]

    assert isinstance(run(app, ["fetch", "tiny-b", "tiny"]).exception, DataUnavailable)
    assert isinstance(run(app, ["fetch", "tiny", "typo"]).exception, ConfigError)
    failed = run(app, ["fetch", "tiny", "tiny-b", "--report", str(report)])
    assert isinstance(failed.exception, ConfigError)


def test_cli_list_and_verify(mirror):
    run = CliRunner(env={"COLUMNS": "200"}).invoke
    assert "available from mirror" in _row(run(app, ["list"]).output, "tiny ")
    assert "not available" in _row(run(app, ["list"]).output, "tiny-b ")
    data.load("tiny")
    assert "cached, from mirror" in _row(run(app, ["list"]).output, "tiny ")
    assert data.entry("tiny").digest in run(app, ["list", "tiny"]).output
    done = run(app, ["verify", "--sources"])
    assert done.exit_code == 0
    assert "good" in done.output
    assert "the same tensors" in done.output

    path = prepared.cache_file("tiny")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    done = run(app, ["verify"])
    assert isinstance(done.exception, DataCorrupt)
    assert "damaged" in done.output


def _row(table, name):
    return next(line for line in table.splitlines() if name in line)
