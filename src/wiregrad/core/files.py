"""Writing files so that a reader sees the whole old file or the whole new one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wiregrad.core.errors import WriteError


@contextmanager
def write_atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it to disk and rename it to `path`.

    Missing folders are created. If the body raises, the temporary file is removed and `path` stays
    as it was. Raises WriteError where a folder or file cannot be created or renamed.
    """
    target = Path(path)
    with _as_write_error(target):
        temporary = _create_beside(target)
    try:
        yield temporary
        with _as_write_error(target):
            _publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically. Raises WriteError."""
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically.

    Raises WriteError, or TypeError where `value` is not JSON.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hex sha256 of the bytes of a file. Raises OSError."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def _as_write_error(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{target}: cannot be written ({error.strerror or error})") from None


def _create_beside(target: Path) -> Path:
    """A new empty file in the folder of `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
    )
    os.close(descriptor)
    return Path(name)


def _publish(temporary: Path, target: Path) -> None:
    """Sync a file to disk and rename it to `target`."""
    with temporary.open("rb") as handle:
        os.fsync(handle.fileno())
    temporary.chmod(0o666 & ~_umask())
    temporary.replace(target)
    _sync_directory(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened for fsync there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
