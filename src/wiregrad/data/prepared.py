"""The prepared cache: one memory-mapped safetensors file a variant, with the digest of its tensors.

The folder is ``WIREGRAD_CACHE``, else the user's cache folder of the platform.
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
    """Tensors of one variant as read from the cache, with where they came from."""

    tensors: dict[str, torch.Tensor]
    digest: str
    source: str


def cache_folder() -> Path:
    """Where prepared sets are kept."""
    chosen = os.environ.get("WIREGRAD_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("wiregrad")


def cache_file(name: str) -> Path:
    """The prepared file of a variant; it may not exist."""
    return cache_folder() / "data" / f"{name}.safetensors"


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """An empty folder to prepare `name` in, which one process at a time can hold.

    It is emptied before and after, so that what a killed process left does not stay.
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
    """Hex sha256 over names, dtypes, shapes and little-endian bytes, names in sorted order."""
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
    """Write the prepared file of a variant atomically; `source` is kept in it."""
    from safetensors.numpy import save_file

    metadata = {"digest": digest(arrays), "source": source, "variant": name}
    with write_atomic(cache_file(name)) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata)


_hashed: dict[tuple[Path, int, int, int], str] = {}
"""Digests of the files that this process has read, as they were: the runs of a group share one."""


def summary(name: str) -> dict[str, str] | None:
    """What the prepared file says of itself (digest, source, variant), without reading tensors.

    None if there is none. Raises DataCorrupt if its length is not what its header says.
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
    """The prepared variant, or None if there is none. A process hashes a file's tensors once.

    `expected` is the catalogue's digest, or None to hold the file to the one stored in it.
    Raises DataCorrupt if the file is damaged or holds other tensors.
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
