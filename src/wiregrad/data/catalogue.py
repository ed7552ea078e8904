"""The catalogue: which data sets there are, where each can be had, and its digest.

The list is ``catalogue.yaml`` beside this module; `wiregrad.data.schema` describes what it holds.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import unknown
from wiregrad.core.validation import parse_yaml
from wiregrad.data import folders
from wiregrad.data.schema import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping


def entries() -> Mapping[str, Entry]:
    """All entries by name: those of the package, then those of ``WIREGRAD_CATALOGUE``.

    That variable is the path of a file like ``catalogue.yaml``. Raises ConfigError, which names the
    file and the key.
    """
    return _read_all(os.environ.get("WIREGRAD_CATALOGUE") or None)


def entry(name: str) -> Entry:
    """The entry of one variant, or of ``folder:PATH?size=PIXELS`` (`wiregrad.data.folders`).

    Raises ConfigError where the name is unknown.
    """
    if name.startswith(folders.PREFIX):
        return folders.entry(name)
    known = entries()
    if name not in known:
        raise ConfigError(f"data: {unknown('set', name, known)} (`wiregrad data list` shows all)")
    return known[name]


def alternatives(name: str) -> list[Entry]:
    """The entries of a preference list ``"a|b"``, best first. Raises ConfigError as `entry`."""
    return [entry(part.strip()) for part in name.split("|")]


@cache
def _read_all(added: str | None) -> Mapping[str, Entry]:
    own = resources.files("wiregrad.data").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    found = _parse(own, "catalogue.yaml")
    if added is not None:
        try:
            text = Path(added).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"WIREGRAD_CATALOGUE: {added}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"WIREGRAD_CATALOGUE: {added}: not UTF-8 ({error.reason})") from None
        for name, extra in _parse(text, added).items():
            if name in found:
                raise ConfigError(f"{added}: {name}: wiregrad's catalogue has this set already")
            found[name] = extra
    return found


def _parse(text: str, where: str) -> dict[str, Entry]:
    try:
        document = parse_yaml(text)
        rows = [{"name": name, **fields} for name, fields in document.get("sets", {}).items()]
        group = document.get("libsvm", {"sets": {}})
        rows += [_libsvm_row(group, name) for name in group["sets"]]
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


def _libsvm_row(group: dict[str, Any], name: str) -> dict[str, Any]:
    """The full row of a set under ``libsvm``, which differs from the others in a few values."""
    row = dict(group["sets"][name])
    options = {key: row.pop(key) for key in ("features", "task", "sha256")}
    options["rows"] = row.pop("rows", None)
    page, packages, builtin = row.pop("page"), row.pop("packages", []), row.pop("builtin", False)
    sources = [
        {"kind": "mirror", "format": "libsvm", "files": {"data": f"libsvm/{name}.xz"}},
        {"kind": "http", "format": "libsvm", "files": {"data": {"url": group["site"] + page}}},
        *packages,
    ]
    if builtin:
        sources.append({"kind": "builtin", "format": "libsvm", "files": {"data": f"{name}.xz"}})
    common = {"family": name, "licence": group["licence"], "cite": group["cite"]}
    return common | row | {"name": name, "options": options, "sources": sources}
