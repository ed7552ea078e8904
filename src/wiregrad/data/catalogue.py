"""The catalogue: which data sets there are, where each can be had, and its digest.

The one list is ``catalogue.yaml`` beside this module, so that an installed package carries it.
"""

from __future__ import annotations

import difflib
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.core.validation import parse_yaml
from wiregrad.data import folders
from wiregrad.data.schema import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping


def entries() -> Mapping[str, Entry]:
    """All entries by name: the package's catalogue, then what ``WIREGRAD_CATALOGUE`` adds.

    That is the path of a file with the same grammar. Raises ConfigError naming the file and key.
    """
    return _entries(os.environ.get("WIREGRAD_CATALOGUE") or None)


@cache
def _entries(added: str | None) -> Mapping[str, Entry]:
    own = resources.files("wiregrad.data").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    found = _parse(own, "catalogue.yaml")
    if added is not None:
        try:
            text = Path(added).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"WIREGRAD_CATALOGUE: {added}: {error.strerror}") from None
        for name, extra in _parse(text, added).items():
            if name in found:
                raise ConfigError(f"{added}: {name}: the catalogue has this set already")
            found[name] = extra
    return found


def _parse(text: str, where: str) -> dict[str, Entry]:
    try:
        document = parse_yaml(text)
        rows = [{"name": name, **fields} for name, fields in document.get("sets", {}).items()]
        group = document.get("libsvm", {"sets": {}})
        rows += [_libsvm(group, name) for name in group["sets"]]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{where}: not a catalogue: {str(error).splitlines()[0]}") from None
    found = {}
    for row in rows:
        try:
            found[row["name"]] = Entry.model_validate(row)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in (row["name"], *first["loc"]))
            raise ConfigError(f"{where}: {key}: {first['msg']}") from None
    return found


def entry(name: str) -> Entry:
    """The entry of one variant, or of a folder. Raises ConfigError naming the known ones."""
    if name.startswith("folder:"):
        return folders.entry(name)
    known = entries()
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
    options["rows"] = row.pop("rows", None)
    sources = [
        {"kind": "mirror", "format": "libsvm", "files": {"data": f"libsvm/{name}.xz"}},
        {
            "kind": "http",
            "format": "libsvm",
            "files": {"data": {"url": group["site"] + row.pop("page")}},
        },
        *row.pop("packages", []),
    ]
    common = {"family": name, "licence": group["licence"], "cite": group["cite"]}
    return common | row | {"name": name, "options": options, "sources": sources}
