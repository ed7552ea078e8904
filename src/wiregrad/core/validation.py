"""Reading and validating configuration files, with one clear line for whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import did_you_mean, listing

M = TypeVar("M", bound=pydantic.BaseModel)
Keys = Callable[[Sequence[int | str]], Collection[str]]
_UNKNOWN_KEY = {"extra_forbidden", "unexpected_keyword_argument"}
_YAML_WORDS = (
    (r"^Input should be a valid (?:tuple|list)$", "a list is required"),
    (r"^Input should be a valid dictionary(?: or instance of \w+)?$", "a mapping is required"),
    (r"^Input should be a valid string$", "a text is required"),
    (r"^(?:Tuple|List) should have at least (\d+) items? .*", r"at least \1 is required"),
)
"""What pydantic says of Python's types, and how it reads to somebody who writes YAML."""
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """As `yaml.safe_load`, but ten times as fast where PyYAML was built with libyaml.

    Raises yaml.YAMLError, also for a key that stands twice in one mapping.
    """
    loader = _SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_twice(node)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_twice(node: yaml.Node | None) -> None:
    """YAML forbids a key to stand twice in one mapping; PyYAML keeps the last one in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands twice", key.start_mark
                )
            seen.add(str(key.value))
            _refuse_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises ConfigError, which names the file, where it cannot be read or holds something else.
    """
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({_one_line(error)})") from None
    if not isinstance(value, dict):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise ConfigError(f"{path}: must hold a mapping (got {kind})")
    return value


def set_keys(config: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=c` overrides (c read as YAML) to a nested mapping, in place."""
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        *parents, last = key.split(".")
        if not equals or not last:
            raise ConfigError(f"--set {assignment}: the form is KEY=VALUE, as in a.b=1")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {assignment}: {parent} is not a mapping")
        try:
            node[last] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {assignment}: the value is not YAML") from None
    return config


def _one_line(error: Exception) -> str:
    """The message without line breaks, and without PyYAML's name for what is not a file."""
    return " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")


def checked(model: type[M], value: Any, where: str, extra_keys: tuple[str, ...] = ()) -> M:
    """Validate `value` as a `model`.

    Args:
        model: A pydantic model.
        value: What was read, usually a mapping.
        where: Begins the message of an error: a file, or a file and a key.
        extra_keys: Keys that the caller has removed from `value`; messages list them as allowed.

    Raises:
        ConfigError: The message names the key, what is wrong and what is allowed.
    """

    def allowed(path: Sequence[int | str]) -> list[str]:
        return [*(() if path else extra_keys), *_fields_at(model, path)]

    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        key, message = first_problem(error, value, allowed)
        raise ConfigError(f"{where}: {joined(key, message)}") from None


def joined(key: str, message: str) -> str:
    """``KEY: MESSAGE``; where the message begins with a dot it names a key below, and goes on."""
    return f"{key}{message}" if not key or message.startswith(".") else f"{key}: {message}"


def first_problem(error: pydantic.ValidationError, value: Any, allowed: Keys) -> tuple[str, str]:
    """The dotted key of what is wrong, empty for all of `value`, and what is wrong there.

    An unknown key comes first, since a key that is missing may be the same one, spelled well.

    Args:
        error: What pydantic found.
        value: What was validated.
        allowed: Gives the keys of the mapping at a path in `value`; empty where it has no fields.
    """
    found = error.errors()
    first = next((each for each in found if each["type"] in _UNKNOWN_KEY), found[0])
    path = first["loc"]
    key = ".".join(map(str, _keys_of(value, path)))
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] in _UNKNOWN_KEY:
        names = allowed(path[:-1])
        which = f" {listing(names, 'allowed')}" if names else ""
        return key, f"unknown key{did_you_mean(str(path[-1]), names)}{which}"
    for pattern, words in _YAML_WORDS:
        message = re.sub(pattern, words, message)
    if first["type"] not in {"missing", "value_error"}:
        message = f"{message} (got {first['input']!r})"
    return key, message


def _keys_of(value: Any, path: Sequence[int | str]) -> list[int | str]:
    """The part of pydantic's path that is written in `value`: it names branches of unions, too."""
    keys: list[int | str] = []
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        else:
            continue
        keys.append(part)
    return keys


def _fields_at(model: type[pydantic.BaseModel], path: Sequence[int | str]) -> list[str]:
    """Field names of the sub-model at `path`; empty where the path leads to no model."""
    here: Any = model
    for part in path:
        fields = getattr(here, "model_fields", None)
        if fields is None:  # a mapping, a list or an optional value: what it holds
            here = get_args(here)[-1] if get_args(here) else None
        elif part in fields:
            here = _without_none(fields[part].annotation)
        else:
            return []
    return list(getattr(here, "model_fields", ()))


def _without_none(hint: Any) -> Any:
    """``T`` of ``T | None``; any other annotation as it is."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return kinds[0] if type(None) in get_args(hint) and len(kinds) == 1 else hint
