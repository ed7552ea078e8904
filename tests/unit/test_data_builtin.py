"""The data sets that come with wiregrad: complete, licensed, and the same tensors as elsewhere."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wiregrad import data
from wiregrad.cli.data import app
from wiregrad.core.errors import DataUnavailable
from wiregrad.data import download, loading, sources
from wiregrad.data.images import read_cifar_webp
from wiregrad.data.schema import BuiltinSource

NAMES = ["a1a", "cifar10-sample", "mushrooms", "phishing", "splice", "tiny-shakespeare"]
MIRROR = os.environ.get("WIREGRAD_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="WIREGRAD_MIRROR is not set")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No mirror, no network, an empty cache; all sources are allowed."""
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIREGRAD_MIRROR", raising=False)
    monkeypatch.delenv("WIREGRAD_SOURCES", raising=False)
    monkeypatch.setattr(download, "unreachable", lambda site: f"{site} cannot be reached")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the built-in files, which a test may damage."""
    folder = tmp_path / "builtin"
    shutil.copytree(sources.BUILTIN, folder)
    monkeypatch.setattr(sources, "BUILTIN", folder)
    return folder


def builtin_of(entry):
    return next(s for s in entry.sources if isinstance(s, BuiltinSource))


def test_the_catalogue_has_these():
    kinds = {name: [s.kind for s in entry.sources] for name, entry in data.entries().items()}
    assert sorted(name for name, found in kinds.items() if "builtin" in found) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_loads_without_mirror_and_network(offline, name):
    found = data.load(name)
    assert (found.variant, found.source) == (name, "built in")
    assert found.digest == data.entry(name).digest


@needs_mirror
@pytest.mark.parametrize("name", [name for name in NAMES if name != "cifar10-sample"])
def test_tensors_are_those_of_the_mirror(tmp_path, name):
    entry = data.entry(name)
    mirror = next(s for s in entry.sources if s.kind == "mirror")
    theirs = loading.read_source(entry, mirror, tmp_path)
    ours = loading.read_source(entry, builtin_of(entry), tmp_path)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert value.dtype == ours[key].dtype
        assert np.array_equal(value, ours[key]), key


def test_the_sample_has_as_many_images_of_each_class(offline):
    found = data.load("cifar10|cifar10-sample").tensors
    assert found["train_images"].shape == (1000, 3, 32, 32)
    assert found["train_labels"].bincount().tolist() == [100] * 10
    assert found["test_labels"].bincount().tolist() == [20] * 10


@needs_mirror
def test_the_sample_is_made_of_images_of_the_mirror(tmp_path):
    full = data.entry("cifar10-mirror").sources[0]
    strips = {"train": range(3), "test": range(1)}
    chosen = [f"{split}_strip_{i:03d}" for split, numbers in strips.items() for i in numbers]
    theirs = {}
    files = sources.fetch(full, tmp_path)
    entry = data.entry("cifar10-sample")
    ours = loading.read_source(entry, builtin_of(entry), tmp_path)
    for split in strips:
        with np.load(files[f"{split}_labels"], allow_pickle=False) as stored:
            labels = stored["label"][: 500 * len(strips[split])]
        np.savez(tmp_path / f"{split}.npz", label=labels)
        theirs[f"{split}_labels"] = tmp_path / f"{split}.npz"
        theirs |= {role: files[role] for role in chosen if role.startswith(split)}
    found = read_cifar_webp(theirs)
    for split, size in (("train", 100), ("test", 20)):
        labels = found[f"{split}_labels"]
        with np.load(files[f"{split}_labels"], allow_pickle=False) as stored:
            exact = stored["from_jpeg"][: len(labels)] == 0
        rows = [np.flatnonzero((labels == label) & exact)[:size] for label in range(10)]
        first = np.sort(np.concatenate(rows))
        assert np.array_equal(found[f"{split}_images"][first], ours[f"{split}_images"])
        assert np.array_equal(labels[first], ours[f"{split}_labels"])


@pytest.mark.parametrize(
    ("name", "file"),
    [("phishing", "phishing.xz"), ("cifar10-sample", "cifar10-sample/test_0.webp")],
)
def test_damaged_file_is_one_clear_line(offline, copied, name, file):
    path = copied / file
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    expected = rf"{name}: no data: .*built in: .*{re.escape(file)}: sha256 is \w+\.\.\., expected"
    with pytest.raises(DataUnavailable, match=expected) as caught:
        data.load(name)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataUnavailable, match=rf"{re.escape(file)} is missing \(reinstall"):
        data.load(name)


def test_damaged_sums_are_one_clear_line(offline, copied):
    (copied / "SHA256SUMS").write_text("phishing.xz\n")
    with pytest.raises(DataUnavailable, match="SHA256SUMS, line 1: not 'SHA256  NAME'"):
        data.load("phishing")
    (copied / "SHA256SUMS").unlink()
    with pytest.raises(DataUnavailable, match="SHA256SUMS: cannot be read"):
        data.load("phishing")


def test_can_be_ruled_out(offline, monkeypatch):
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror,official,package")
    with pytest.raises(DataUnavailable, match="built in: ruled out by WIREGRAD_SOURCES"):
        data.load("cifar10-sample")


def test_every_file_is_used_and_named_with_its_sha256():
    sums = dict(line.split("  ")[::-1] for line in _text("SHA256SUMS").splitlines())
    readme = _text("README.md")
    used = {
        name
        for entry in map(data.entry, NAMES)
        for source in entry.sources
        if isinstance(source, BuiltinSource)
        for name in source.files.values()
    }
    there = {
        str(p.relative_to(sources.BUILTIN)): p for p in _files() if p.suffix not in {"", ".md"}
    }
    assert there.keys() == used == {name.removeprefix("./") for name in sums}
    for name, path in there.items():
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert sums[f"./{name}"] == sha256
        assert f"| `{name}` | `{sha256}` |" in readme
    assert sum(path.stat().st_size for path in _files()) <= 3_500_000


def _files() -> list[Path]:
    return [path for path in sources.BUILTIN.rglob("*") if path.is_file()]


def _text(name: str) -> str:
    return (sources.BUILTIN / name).read_text(encoding="utf-8")


def test_list_shows_them(offline):
    output = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["list"]).output
    for name in NAMES:
        row = next(line for line in output.splitlines() if f" {name} " in line)
        assert " built in " in row
    details = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["list", "phishing"]).output
    assert "CC BY 4.0" in details
    assert "built in" in details
