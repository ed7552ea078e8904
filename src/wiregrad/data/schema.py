"""The schema of the catalogue: a data set (`Entry`), its options, and the kinds of source.

This module only describes; `wiregrad.data.catalogue` reads the file, `wiregrad.data.sources`
fetches, and `wiregrad.data.readers` turns raw files into tensors.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic

Format = Literal[
    "mnist-idx",
    "mnist-idx-5k",
    "mnist-csv",
    "cifar-binary",
    "cifar-webp",
    "tiny-imagenet-npz",
    "tiny-imagenet-zip",
    "image-tar",
    "image-folder",
    "cifar100-binary",
    "imdb-jsonl",
    "imdb-csv",
    "imdb-text-jsonl",
    "imdb-text-csv",
    "sst2-tsv",
    "sst2-jsonl",
    "cola-tsv",
    "cola-jsonl",
    "rte-tsv",
    "rte-jsonl",
    "ag-news-tsv",
    "ag-news-csv",
    "text",
    "text-lines",
    "text-lines-jsonl",
    "encoder",
    "libsvm",
    "adult",
]
"""The format of a source's files; `wiregrad.data.readers` has a reader for each."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Model(pydantic.BaseModel):
    """Base of everything that the catalogue holds: immutable, unknown keys are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class TableOptions(Model):
    """Options of a LIBSVM set."""

    features: pydantic.PositiveInt
    """Number of columns, at least the largest index."""
    task: Literal["binary", "multiclass", "regression"] = "binary"
    """What the labels are; binary ones become -1 and +1."""
    sha256: str | None = None
    """Of the decompressed LIBSVM text."""
    rows: pydantic.PositiveInt | None = None
    """Number of rows that a source must have; given only where no digest is known."""


class ImageOptions(Model):
    """Options of a set of photographs."""

    size: pydantic.PositiveInt
    """Height and width of the prepared images, in pixels."""
    classes: str | None = None
    """A list of ``classes.yaml``: only these classes are used. None uses all."""
    rows: tuple[pydantic.PositiveInt, pydantic.PositiveInt] | None = None
    """Numbers of training and of test images; given only where no digest is known."""


class RowOptions(Model):
    """Options of a text whose digest is not known."""

    rows: dict[Literal["train", "test"], pydantic.PositiveInt]
    """Number of rows (or lines) that each split must have."""


class FolderSource(Model):
    """A folder of images on the user's own disk, read in place."""

    kind: Literal["folder"]
    format: Literal["image-folder"]
    path: str

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"folder {self.path}"


class _FileSource(Model):
    """Base of the sources that are folders with a SHA256SUMS file."""

    format: Format
    files: dict[str, str]
    """Role -> path inside the folder."""

    @pydantic.field_validator("files")
    @classmethod
    def _expand(cls, files: dict[str, str]) -> dict[str, str]:
        """A pair ``strip_{000..099}: folder/strip_{000..099}.webp`` stands for a hundred files."""
        expanded = {}
        for role, name in files.items():
            match = _RANGE.search(role)
            if match is None:
                expanded[role] = name
                continue
            first, last = match.groups()
            for number in range(int(first), int(last) + 1):
                text = f"{number:0{len(first)}d}"
                expanded[role.replace(match[0], text)] = name.replace(match[0], text)
        return expanded


class MirrorSource(_FileSource):
    """Files of the user's mirror (``WIREGRAD_MIRROR``, a folder or an address)."""

    kind: Literal["mirror"]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "mirror"


class BuiltinSource(_FileSource):
    """Files that come with wiregrad (`wiregrad.data.sources.BUILTIN`)."""

    kind: Literal["builtin"]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "built in"


class Download(Model):
    """One file of an official site."""

    url: str
    sha256: str | None = None
    """Of the file as it is sent."""
    md5: str | None = None
    """Used where no sha256 is published: it detects damage, but not forgery."""
    member: str | None = None
    """If the file is an archive: the one member that is needed."""


class HttpSource(Model):
    """Files of an official site, by role, downloaded over HTTP."""

    kind: Literal["http"]
    format: Format
    files: dict[str, Download]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "official site"


class TorchvisionSource(Model):
    """A data set that torchvision downloads; `files` are relative to its download root."""

    kind: Literal["torchvision"]
    format: Format
    dataset: Literal["MNIST"]
    files: dict[str, str]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "torchvision"


class HubSource(Model):
    """A data set of the Hugging Face hub at one revision, read through `datasets`.

    Texts become one JSON-lines file for each split; images (format ``image-folder``) become one
    file each.
    """

    kind: Literal["datasets"]
    format: Format
    path: str
    """The data set's name on the hub, or a local folder."""
    subset: str | None = None
    """The hub's "configuration"."""
    columns: tuple[str, ...] = ("label", "text")
    """Columns of a row of text, in the order in which the reader expects them."""
    revision: str | None
    splits: tuple[str, ...]
    classes: str | None = None
    """For images: the list of ``classes.yaml`` whose items, in order, are the labels 0, 1, ..."""

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"datasets {self.path}"


class Member(Model):
    """One file inside the archive of a registry package."""

    path: str
    sha256: str


class PackageSource(Model):
    """Members of a registry package's archive, which is read but never installed or run."""

    kind: Literal["package"]
    format: Format
    registry: Literal["pypi", "npm"]
    package: str
    version: str
    archive: str
    sha256: str
    members: dict[str, Member]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"{self.registry} {self.package} {self.version}"


Source = Annotated[
    MirrorSource
    | HttpSource
    | TorchvisionSource
    | HubSource
    | PackageSource
    | BuiltinSource
    | FolderSource,
    pydantic.Field(discriminator="kind"),
]

Options = TableOptions | ImageOptions | RowOptions

_OPTIONS: dict[Format, type[Options]] = {
    "libsvm": TableOptions,
    "adult": TableOptions,
    "tiny-imagenet-npz": ImageOptions,
    "tiny-imagenet-zip": ImageOptions,
    "image-tar": ImageOptions,
    "image-folder": ImageOptions,
    "ag-news-csv": RowOptions,
    "text-lines": RowOptions,
    "text-lines-jsonl": RowOptions,
}
"""The options that the reader of a format takes; formats that are not listed take none."""


class Entry(Model):
    """One named variant of a data set."""

    name: str
    """What a configuration asks for, for example ``cifar10-mirror``."""
    family: str
    """The data set of which this is a variant, for example ``cifar10``."""
    title: str
    licence: str
    cite: str
    note: str = ""
    bytes: int
    """Size of the prepared tensors."""
    digest: str | None
    """Sha256 of the prepared tensors (`wiregrad.data.prepared.digest`), the same from every source.

    None where no source was ever reached to compute it; then the sources' own sha256, or at least
    the number of rows, are given.
    """
    options: Options | None = None
    sources: tuple[Source, ...]
    """In the order in which they are tried."""

    @pydantic.model_validator(mode="after")
    def _options_fit(self) -> Entry:
        for source in self.sources:
            if type(self.options) is not _OPTIONS.get(source.format, type(None)):
                raise ValueError(f"options are for the formats {', '.join(sorted(_OPTIONS))}")
        return self

    def reader_options(self) -> dict[str, Any]:
        """The options as keyword arguments for the reader."""
        return {} if self.options is None else self.options.model_dump()
