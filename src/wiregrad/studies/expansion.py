"""From what a researcher writes to what is validated: `for_each`, `like` and label sets.

The devices hold in every section of a paper (experiments, figures, tables, claims) and among the
labels of methods.yaml. They apply in this order:

1. `for_each` turns one entry, or a block of entries, into one for each row of values;
2. `like` starts an entry from a sibling, by its final name;
3. the overrides of a scale, in which `for_each` is expanded too, are merged into entries by name;
4. names of label sets become their labels.

Every error is a ConfigError of one line that names the file and the key.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import hint

Entry = Mapping[str, Any]

SECTIONS = ("experiments", "figures", "tables", "claims")
"""The keys of a paper that hold entries; `claims` is a list of entries with an `id`."""
ALL = "all"
"""The label set that `methods: all` means; without it in methods.yaml, every label."""

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_LISTS_OF_LABELS = ("methods", "emphasise", "better", "worse", "followers", "falling", "flat")
_KEYED_BY_LABEL = ("lr", "shift", "labels", "also")


# --- entries -----------------------------------------------------------------------------------


def expanded(content: Entry, where: str, *, inherits: bool = True) -> dict[str, Any]:
    """A paper, or what a scale overrides in it, with every `for_each` and `like` resolved.

    `where` ends with a separator and begins every error; without `inherits`, as in a scale, `like`
    is refused.
    """
    return {
        key: section(value, f"{where}{key}.", key, inherits=inherits) if key in SECTIONS else value
        for key, value in content.items()
    }


def merge(base: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    """Deep merge: mappings join, anything else is replaced, and `key!` replaces a mapping too."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        name = key.removesuffix("!") if isinstance(key, str) else key
        if isinstance(value, Mapping):
            below = merged.get(name) if name == key else None
            merged[name] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def section(written: Any, where: str, kind: str, *, inherits: bool = True) -> Any:
    """The entries of one section (or the labels), flat, in the order in which they are written.

    `kind` is the section's key, under which a block of `for_each` holds its entries.
    """
    pairs = _pairs(written)
    if pairs is None:
        return written  # of a wrong type, which validation tells
    flat: dict[str, Any] = {}
    for name, entry in _rows_filled(pairs, where, kind, {}):
        if name in flat:
            raise ConfigError(f"{where}{name}: two entries have this name")
        flat[name] = entry
    for name, entry in flat.items():
        if not inherits and isinstance(entry, Mapping) and "like" in entry:
            raise ConfigError(f"{where}{name}.like: not in a scale, which changes entries by name")
    done = {name: _inherited(name, flat, where, ()) if inherits else flat[name] for name in flat}
    return list(done.values()) if isinstance(written, list) else done


def _pairs(written: Any) -> list[tuple[str, Any]] | None:
    """(name, entry) of a mapping, or (id, entry) of a list such as `claims`."""
    if isinstance(written, Mapping):
        return list(written.items())
    if not isinstance(written, list):
        return None
    return [
        (str(entry.get("id", i)) if isinstance(entry, Mapping) else str(i), entry)
        for i, entry in enumerate(written)
    ]


def _rows_filled(
    pairs: Sequence[tuple[str, Any]], where: str, kind: str, scope: Entry
) -> Iterator[tuple[str, Any]]:
    """Entries with the values of every row of their `for_each`; `scope` holds those around."""
    for name, entry in pairs:
        here = f"{where}{name}"
        if not isinstance(entry, Mapping) or "for_each" not in entry:
            filled = _filled(name, scope, here)
            yield _text(filled, str(name), here), _filled(entry, scope, here)
            continue
        body = {key: value for key, value in entry.items() if key != "for_each"}
        block = _pairs(body[kind]) if kind in body else [(name, body)]
        if block is None or (kind in body and len(body) > 1):
            raise ConfigError(f"{here}: beside for_each, {kind} are all that a block holds")
        for row in _rows(_filled(entry["for_each"], scope, f"{here}.for_each"), here):
            yield from _rows_filled(block, where, kind, {**scope, **row})


def _rows(spec: Any, here: str) -> list[dict[str, Any]]:
    """The rows of `for_each`: every combination of lists, or the rows themselves."""
    where = f"{here}.for_each"
    if isinstance(spec, Mapping) and spec:
        for key, values in spec.items():
            if not isinstance(values, list) or not values:
                raise ConfigError(f"{where}.{key}: a list with at least one value is required")
        rows = [dict(zip(spec, row, strict=True)) for row in itertools.product(*spec.values())]
    elif isinstance(spec, list) and spec and all(isinstance(row, Mapping) for row in spec):
        rows = [dict(row) for row in spec]
    else:
        forms = "{name: [value, ...]} or a list of rows {name: value, ...}"
        raise ConfigError(f"{where}: {forms} is required, and not empty")
    for number, row in enumerate(rows, 1):
        for name in row:
            if not (isinstance(name, str) and _PLACEHOLDER.fullmatch(f"{{{name}}}")):
                raise ConfigError(
                    f"{where}: {name!r} is no name: small letters, digits and _ (YAML reads on,"
                    " off, yes and no as true and false)"
                )
        odd = set(rows[0]) ^ set(row)
        if odd:
            raise ConfigError(f"{where}: rows 1 and {number}: only one of them has {min(odd)!r}")
    return rows


def _filled(value: Any, scope: Entry, here: str) -> Any:
    """`value` with `{name}` replaced; where it is all of a string, by the value as it is."""
    if not scope:
        return value
    if isinstance(value, Mapping):
        return {_filled(k, scope, here): _filled(v, scope, f"{here}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(item, scope, here) for item in value]
    if not isinstance(value, str):
        return value
    for name in _PLACEHOLDER.findall(value):
        if name not in scope:
            raise ConfigError(f"{here}: {{{name}}} is not in for_each{hint(name, scope)}")
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return copy.deepcopy(scope[whole[1]])
    return _PLACEHOLDER.sub(lambda found: _text(scope[found[1]], found[1], here), value)


def _text(value: Any, name: str, here: str) -> str:
    if isinstance(value, Mapping | list):
        raise ConfigError(f"{here}: {{{name}}} is no text or number and must stand alone")
    return str(value)


def _inherited(name: str, flat: Entry, where: str, below: tuple[str, ...]) -> Any:
    """An entry with what it takes from the sibling that its `like` names."""
    entry = flat[name]
    if not isinstance(entry, Mapping):
        return entry
    if name in below:
        raise ConfigError(f"{where}{name}.like: goes round in a circle ({' > '.join(below)})")
    own = {key: value for key, value in entry.items() if key != "like"}
    if "like" not in entry:
        return merge({}, own)
    other = str(entry["like"])
    if not isinstance(flat.get(other), Mapping):
        raise ConfigError(f"{where}{name}.like: no entry {other!r} here{hint(other, flat)}")
    return merge(_inherited(other, flat, where, (*below, name)), own)


# --- label sets --------------------------------------------------------------------------------


def resolved_sets(sets: Any, labels: Collection[str], where: str) -> dict[str, list[str]]:
    """`label_sets` with the sets that stand inside others resolved.

    Raises ConfigError for a set that is empty, has the name of a label, or contains itself.
    """
    if not isinstance(sets, Mapping):
        raise ConfigError(f"{where}: a mapping of names to lists of labels is required")
    for name, members in sets.items():
        if not isinstance(members, list) or not members or {type(m) for m in members} != {str}:
            raise ConfigError(f"{where}.{name}: a list of at least one label is required")
        if name in labels:
            raise ConfigError(f"{where}.{name}: is the name of a label, too")

    def flat(name: str, around: tuple[str, ...]) -> list[str]:
        if name in around:
            raise ConfigError(f"{where}.{name}: contains itself")
        found: list[str] = []
        for member in sets[name]:
            if member not in labels and member not in sets:
                here = f"{where}.{name}: unknown label {member!r}"
                raise ConfigError(f"{here}{hint(member, [*labels, *sets])}")
            found += flat(member, (*around, name)) if member in sets else [member]
        return found

    return {name: list(dict.fromkeys(flat(name, ()))) for name in sets}


def with_labels(node: Any, sets: Mapping[str, list[str]], where: str) -> Any:
    """A section with label sets resolved, in lists of labels and in mappings keyed by labels."""
    if isinstance(node, list):
        return [with_labels(item, sets, where) for item in node]
    if not isinstance(node, Mapping):
        return node
    done: dict[str, Any] = {}
    for key, value in node.items():
        here = f"{where}.{key}"
        if key in _LISTS_OF_LABELS:
            done[key] = _listed(value, sets, here)
        elif key in _KEYED_BY_LABEL and isinstance(value, Mapping):
            done[key] = _keyed(value, sets)
        else:
            done[key] = with_labels(value, sets, here)
    return done


def _listed(value: Any, sets: Mapping[str, list[str]], where: str) -> Any:
    """The labels of a set, or of a list in which sets may stand; `all` by itself stays."""
    if isinstance(value, str) and value != ALL:
        if value not in sets:
            raise ConfigError(f"{where}: no label set {value!r}{hint(value, sets)}")
        return list(sets[value])
    if not isinstance(value, list):
        return value
    every = [sets.get(item, [item]) if isinstance(item, str) else [item] for item in value]
    return list(itertools.chain(*every))


def _keyed(value: Entry, sets: Mapping[str, list[str]]) -> dict[str, Any]:
    """Values by label; that of a label itself has precedence over that of its set."""
    of_sets = {label: v for key, v in value.items() for label in sets.get(key, ())}
    return of_sets | {key: v for key, v in value.items() if key not in sets}
