"""The cache of prepared data: one memory-mapped safetensors file per variant, with its digest.

The folder is ``WIREGRAD_CACHE``, else the platform's cache folder of the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import numpy.typing as npt
import platformdirs

from wiregrad.core.errors import DataCorrupt, DataUnavailable
from wiregrad.core.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from wiregrad.data.files import Arrays


@dataclass(frozen=True)
class Prepared:
    """One variant as it was read from the cache."""

    tensors: dict[str, torch.Tensor]
    digest: str
    """Sha256 of the tensors, see `digest`."""
    source: str
    """The source from which it was prepared."""


def cache_folder() -> Path:
    """The folder of the cache; it may not exist."""
    chosen = os.environ.get("WIREGRAD_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("wiregrad")


def cache_file(name: str) -> Path:
    """The prepared file of a variant; it may not exist."""
    return cache_folder() / "data" / f"{name}.safetensors"


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """An empty folder in which to prepare `name`, for one process at a time.

    Other processes wait. The folder is emptied before, so that nothing remains of a killed process,
    and deleted afterwards. Raises DataUnavailable where the cache cannot be written.
    """
    path = cache_file(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise DataUnavailable(
            f"{path.parent}: {error.strerror or error} (WIREGRAD_CACHE names another folder)"
        ) from None
    folder = path.with_suffix(".fetch")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def digest(arrays: Mapping[str, npt.NDArray[np.generic]]) -> str:
    """Hex sha256 of arrays: of their names (sorted), dtypes, shapes and little-endian bytes."""
    names = sorted(arrays)
    head = [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in names]
    sha = hashlib.sha256(json.dumps(head, separators=(",", ":")).encode() + b"\n")
    for name in names:
        value = np.ascontiguousarray(arrays[name])
        if sys.byteorder == "big":
            value = value.byteswap()
        sha.update(value.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def store(name: str, arrays: Arrays, source: str) -> None:
    """Write the prepared file of a variant atomically, with the title of its source."""
    from safetensors.numpy import save_file

    metadata = {"digest": digest(arrays), "source": source, "variant": name}
    with write_atomic(cache_file(name)) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata)


_hashed: dict[tuple[Path, int, int, int], str] = {}
"""(path, inode, modification time, size) -> digest, of the files that this process has hashed."""


def summary(name: str) -> dict[str, str] | None:
    """The metadata of the prepared file (digest, source, variant), or None if there is no file.

    Tensors are not read. Raises DataCorrupt if the header is damaged or does not fit the length.
    """
    from safetensors import SafetensorError, safe_open

    path = cache_file(name)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as stored:
            return dict(stored.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DataCorrupt(f"{path}: {error}") from None


def read(name: str, expected: str | None) -> Prepared | None:
    """The prepared variant, or None if there is no file. A process hashes a file once.

    Args:
        name: The variant.
        expected: The digest of the catalogue; None checks the one that is stored in the file.

    Raises:
        DataCorrupt: The file is damaged, or has other tensors.
    """
    from safetensors import SafetensorError, safe_open

    path = cache_file(name)
    if not path.is_file():
        return None
    try:
        stat = path.stat()
        with safe_open(path, framework="pt", device="cpu") as stored:
            metadata = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise DataCorrupt(f"{path}: {error}") from None
    file = (path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if file not in _hashed:
        _hashed[file] = digest({key: tensor.numpy() for key, tensor in tensors.items()})
    actual = _hashed[file]
    if actual != (expected or metadata.get("digest")):
        raise DataCorrupt(f"{path}: prepared tensors are not those of {name} (sha256 differs)")
    return Prepared(tensors, actual, metadata.get("source", "unknown"))
