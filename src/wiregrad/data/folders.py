"""A folder of images as a data set: ``folder:PATH?size=64``, arranged as for ImageFolder.

PATH has ``train/CLASS/NAME`` and ``val/CLASS/NAME`` (or ``test/...``), as torchvision's ImageFolder
reads them. ``size`` is the height and width of the prepared images in pixels (see
`wiregrad.data.photos`), and ``&classes=LIST`` keeps only the classes of a list in ``classes.yaml``,
for example ``imagenet100`` of a folder with all of ImageNet.

The prepared file is named by a hash of the paths, sizes and modification times of all files, so
that a folder that has changed is prepared anew. The digest is that of the tensors, as for any set.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import pydantic

from wiregrad.core.errors import ConfigError, DataCorrupt, DataUnavailable
from wiregrad.data.photos import Photo, class_list, prepare
from wiregrad.data.schema import Entry, FolderSource, ImageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wiregrad.data.files import Arrays

PREFIX = "folder:"
TEST_FOLDERS = ("val", "test")
"""Names of the folder with the test images; the first that exists is used."""


def entry(name: str) -> Entry:
    """The catalogue entry of ``folder:PATH?size=PIXELS``, whether the folder exists or not.

    Raises ConfigError where the name is not of this form, or its list of classes is unknown.
    """
    path, _, query = name.removeprefix(PREFIX).partition("?")
    try:
        options = ImageOptions.model_validate(dict(parse_qsl(query, strict_parsing=True)))
    except (pydantic.ValidationError, ValueError):
        options = None
    if options is None or options.rows is not None or not path:
        raise ConfigError(f"data: {name!r}: allowed is {PREFIX}PATH?size=PIXELS[&classes=LIST]")
    if options.classes is not None:
        class_list(options.classes)
    root = Path(path).expanduser().absolute()
    content = hashlib.sha256(urlencode(options.model_dump()).encode())
    size = 0
    for line in _listing(root):
        content.update(line.encode())
        size += 3 * options.size**2 + 8
    return Entry(
        name=f"folder-{content.hexdigest()[:16]}",
        family="folder",
        title=f"images of {root} at {options.size}x{options.size}",
        licence="your own",
        cite="your own",
        bytes=size,
        digest=None,
        options=options,
        sources=(FolderSource(kind="folder", format="image-folder", path=str(root)),),
    )


def _listing(root: Path) -> Iterator[str]:
    """A line for the folder, then one for each file: its path, size and modification time."""
    yield f"{root}\n"
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            state = path.stat()
            yield f"{path.relative_to(root)} {state.st_size} {state.st_mtime_ns}\n"


def locate(source: FolderSource) -> dict[str, Path]:
    """The folder itself, under the role ``root``.

    Raises DataUnavailable where it, its ``train`` or its ``val`` (``test``) does not exist.
    """
    root = Path(source.path)
    for needed in (root, root / "train", _test_folder(root)):
        if not needed.is_dir():
            raise DataUnavailable(f"{needed} is not a folder")
    return {"root": root}


def _test_folder(root: Path) -> Path:
    found = [root / name for name in TEST_FOLDERS if (root / name).is_dir()]
    return found[0] if found else root / TEST_FOLDERS[0]


def read_folder(files: Mapping[str, Path], **options: object) -> Arrays:
    """Format ``image-folder``: `root` with a folder for each class in ``train`` and ``val``.

    `options` and the arrays are those of `wiregrad.data.photos.prepare`. Raises DataCorrupt.
    """
    from torchvision.datasets import ImageFolder

    root = files["root"]
    photos = {}
    for split, folder in (("train", root / "train"), ("test", _test_folder(root))):
        try:
            found = ImageFolder(folder, allow_empty=True)
        except OSError as error:
            raise DataCorrupt(f"{folder}: {error}") from None
        photos[split] = [
            Photo(found.classes[label], str(Path(path).relative_to(folder)), Path(path).read_bytes)
            for path, label in found.samples
        ]
    return prepare(photos, str(root), **options)  # type: ignore[arg-type]
