"""Reading and validating configuration files, with one clear line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import did_you_mean, listing

M = TypeVar("M", bound=pydantic.BaseModel)
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
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise ConfigError(f"{path}: must hold a mapping (got {kind})")
    return value


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
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{where}: {_first(error, model, extra_keys)}") from None


def _first(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], extra_keys: tuple[str, ...]
) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        allowed = [*extra_keys, *_fields_at(model, first["loc"][:-1])]
        names = f" {listing(allowed, 'allowed')}" if allowed else ""
        return f"{key}: unknown key{did_you_mean(str(first['loc'][-1]), allowed)}{names}"
    if first["type"] in {"missing", "value_error"}:
        inner = message.startswith(".")  # a registered class names the key below
        return f"{key}{'' if inner else ': '}{message}" if key else message
    return f"{key}: {message} (got {first['input']!r})"


def _fields_at(model: type[pydantic.BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Field names of the sub-model at `path`; empty where the path leads to no model."""
    here: Any = model
    for part in path:
        field = here.model_fields.get(part) if hasattr(here, "model_fields") else None
        if field is None:
            return []
        here = field.annotation
    return list(here.model_fields) if hasattr(here, "model_fields") else []
