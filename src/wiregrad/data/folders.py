"""Any folder of pictures as a data set: ``folder:PATH?size=64``, in ImageFolder's layout.

PATH has ``train/CLASS/NAME`` and ``val/CLASS/NAME`` (or ``test/...``), as torchvision's ImageFolder
reads them; ``size`` is that of the prepared images (see `wiregrad.data.photos`), and
``&classes=LIST`` takes the classes of a list of the package (``imagenet100`` of a folder with all
of ImageNet). Prepared files are named by the paths, sizes and times of all pictures: a folder that
was changed is prepared anew. The digest is, as of any set, that of the tensors.
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
TESTS = ("val", "test")
"""Names of the folder with the test images, the first that is there."""


def entry(name: str) -> Entry:
    """The entry of ``folder:PATH?size=N``, whether the folder is there or not.

    Raises ConfigError where the name is none.
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
    seen = hashlib.sha256(urlencode(options.model_dump()).encode())
    size = 0
    for line in _listing(root):
        seen.update(line.encode())
        size += 3 * options.size**2 + 8
    return Entry(
        name=f"folder-{seen.hexdigest()[:16]}",
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
    """A line a file: where it is, its size and its time."""
    yield f"{root}\n"
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            state = path.stat()
            yield f"{path.relative_to(root)} {state.st_size} {state.st_mtime_ns}\n"


def fetch(source: FolderSource) -> dict[str, Path]:
    """The folder itself; raises DataUnavailable where it is not one."""
    root = Path(source.path)
    for needed in (root, root / "train", _test(root)):
        if not needed.is_dir():
            raise DataUnavailable(f"{needed} is not there")
    return {"root": root}


def _test(root: Path) -> Path:
    found = [root / name for name in TESTS if (root / name).is_dir()]
    return found[0] if found else root / TESTS[0]


def read_folder(files: Mapping[str, Path], **options: object) -> Arrays:
    """Format ``image-folder``: `root` with a folder for each class in ``train`` and ``val``."""
    from torchvision.datasets import ImageFolder

    root = files["root"]
    photos = {}
    for split, folder in (("train", root / "train"), ("test", _test(root))):
        try:
            found = ImageFolder(folder, allow_empty=True)
        except OSError as error:
            raise DataCorrupt(f"{folder}: {error}") from None
        photos[split] = [
            Photo(found.classes[label], str(Path(path).relative_to(folder)), Path(path).read_bytes)
            for path, label in found.samples
        ]
    return prepare(photos, str(root), **options)  # type: ignore[arg-type]
