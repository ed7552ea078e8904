"""All figure kinds, table kinds and checks that a paper's configuration can name."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from wiregrad.analysis.claims.catalogue import checks
from wiregrad.analysis.figures.catalogue import figure_kinds
from wiregrad.analysis.tables.catalogue import table_kinds
from wiregrad.core.registry import Registry

COMMON = frozenset({"title", "caption", "experiment", "tolerance"})
"""Arguments of every entry, which `KindEntry.arguments` leaves out."""


@dataclass(frozen=True)
class Argument:
    """A key that an entry of a kind takes."""

    name: str
    type: str
    """In words, e.g. "list of train_loss | accuracy"."""
    default: str | None
    """As text; None where the key is required."""


@dataclass(frozen=True)
class KindEntry:
    """A figure kind, a table kind or a check."""

    name: str
    about: str
    """The first sentence of its docstring."""
    arguments: tuple[Argument, ...]


def catalogue() -> dict[str, tuple[KindEntry, ...]]:
    """The entries of ``figures``, ``tables`` and ``checks``, each sorted by name."""
    registries: dict[str, Registry[Any]] = {
        "figures": figure_kinds,
        "tables": table_kinds,
        "checks": checks,
    }
    return {
        section: tuple(_entry(name, registry[name]) for name in registry)
        for section, registry in registries.items()
    }


def _entry(name: str, kind: type[Any]) -> KindEntry:
    hints = get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.name not in COMMON]
    arguments = tuple(
        Argument(field.name, type_text(hints[field.name]), _default(field)) for field in fields
    )
    return KindEntry(name, (inspect.getdoc(kind) or "").partition("\n")[0], arguments)


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default_factory is not dataclasses.MISSING:
        return _text(field.default_factory())
    return None if field.default is dataclasses.MISSING else _text(field.default)


def _text(value: Any) -> str:
    """A value as YAML would have it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    return "{}" if isinstance(value, Mapping) and not value else str(value) or '""'


def type_text(hint: Any) -> str:
    """A type in words: the values of a Literal, "list of …", "mapping of … to …", or its name."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(map(_text, args))
    if origin in {Union, types.UnionType}:
        return " | ".join(type_text(each) for each in args)
    if origin is tuple:
        return f"list of {type_text(args[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {type_text(args[0])} to {type_text(args[1])}"
    if dataclasses.is_dataclass(hint) or hasattr(hint, "model_fields"):
        keys = ", ".join(f"{name}: {type_text(of)}" for name, of in _own_hints(hint).items())
        return f"{{{keys}}}"
    names = {str: "text", int: "integer", float: "number", bool: "true | false"}
    return "null" if hint is type(None) else names.get(hint, str(hint))


def _own_hints(hint: Any) -> dict[str, Any]:
    fields = getattr(hint, "model_fields", None)
    hints = get_type_hints(hint)
    names = fields if fields is not None else [field.name for field in dataclasses.fields(hint)]
    return {name: hints[name] for name in names}
