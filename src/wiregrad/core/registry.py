"""Registries: a method, compressor or problem is one declarative class, found by its name.

``@methods.register("comp_ams")`` on a frozen dataclass lets a mapping
``{name: comp_ams, lr: 0.001, ...}`` build it, validated by the type hints of the class.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pydantic
from pydantic_core import core_schema

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import listing, unknown
from wiregrad.core.validation import first_problem, joined

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

T = TypeVar("T")
C = TypeVar("C", bound=type)


class Registry(Generic[T]):
    """Classes of one kind by name; iterating over it gives the names in alphabetical order.

    Args:
        what: The kind, for messages, for example "method".
        key: The key under which a mapping holds the name of its class.
    """

    def __init__(self, what: str, key: str = "name") -> None:
        self.what = what
        self.key = key
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator that registers a dataclass under `name`.

        Raises ConfigError where another class has this name, and TypeError where the class is not
        a dataclass (yet).
        """

        def enter(cls: C) -> C:
            if name in self._classes and self._classes[name].__qualname__ != cls.__qualname__:
                raise ConfigError(f"{self.what} {name!r} is registered already")
            if not dataclasses.is_dataclass(cls):
                raise TypeError(f"{cls.__name__}: @register goes above @dataclass")
            cls.__pydantic_config__ = pydantic.ConfigDict(  # type: ignore[attr-defined]
                extra="forbid", arbitrary_types_allowed=True
            )
            cls.name = name  # type: ignore[attr-defined]
            self._classes[name] = cls  # type: ignore[assignment]  # C is a subclass of T
            return cls

        return enter

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __getitem__(self, name: str) -> type[T]:
        try:
            return self._classes[name]
        except KeyError:
            raise ConfigError(unknown(self.what, name, sorted(self))) from None

    def build(self, spec: Mapping[str, Any] | str | T, where: str | None = None) -> T:
        """Build the object that a configuration describes.

        Args:
            spec: ``{name: ..., **fields}``, the name alone, or a built object, which is returned.
            where: The dotted key of `spec` in the configuration, for messages; None is the kind.

        Raises:
            ConfigError: The message names the key, what is wrong and what is allowed.
        """
        where = self.what if where is None else where
        if isinstance(spec, str):
            spec = {self.key: spec}
        if not isinstance(spec, Mapping):
            return spec
        fields = dict(spec)
        name = fields.pop(self.key, None)
        if not isinstance(name, str):
            raise ConfigError(f"{where}.{self.key}: missing {listing(sorted(self))}")
        if name not in self:
            raise ConfigError(f"{where}.{self.key}: {unknown(self.what, name, sorted(self))}")
        try:
            return pydantic.TypeAdapter(self[name]).validate_python(fields)
        except pydantic.ValidationError as error:
            key, message = first_problem(error, fields, lambda path: self._keys(name, path))
            raise ConfigError(joined(f"{where}.{key}" if key else where, message)) from None

    def validate(self, spec: Any) -> T:
        """`build` for a field of another registered class, to whose message pydantic adds the key.

        Raises ValueError, as pydantic expects.
        """
        try:
            return self.build(spec, where="")
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def spec(self, value: T) -> dict[str, Any]:
        """The mapping from which `build` makes `value`, with every field written out."""
        plain: dict[str, Any] = _plain(value)
        return plain

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the mappings that `build` accepts."""
        return {"oneOf": [self._entry_schema(name) for name in self]}

    def _keys(self, name: str, path: Sequence[int | str]) -> list[str]:
        """The keys of the mappings that describe a class; empty for those at a path below."""
        fields = dataclasses.fields(self[name])  # type: ignore[arg-type]  # T is a dataclass
        return [] if path else [self.key, *(field.name for field in fields if field.init)]

    def _entry_schema(self, name: str) -> dict[str, Any]:
        schema = _without_references(pydantic.TypeAdapter(self[name]).json_schema())
        schema["properties"] = {"name": {"const": name}} | schema.get("properties", {})
        for field in dataclasses.fields(self[name]):  # type: ignore[arg-type]
            if dataclasses.is_dataclass(field.default):  # pydantic leaves out its name
                schema["properties"][field.name]["default"] = _plain(field.default)
        schema["required"] = ["name", *schema.get("required", [])]
        schema["title"] = name
        return schema


def import_all(package: str, folders: Iterable[str]) -> None:
    """Import all modules of a package, at any depth, so that they register their classes.

    A new class is then a single new file, which no list names.

    Args:
        package: The dotted name of the package.
        folders: Its ``__path__``.
    """
    for found in pkgutil.walk_packages(folders, f"{package}."):
        importlib.import_module(found.name)


@dataclass(frozen=True)
class Named:
    """Annotates a field: ``Annotated[Delay, Named(delays)]`` accepts ``{name: ..., ...}``."""

    registry: Registry[Any]
    default: str | None = None
    """The name where a mapping has none."""

    def read(self, spec: Any) -> Any:
        """Build what the mapping or the name describes. Raises ValueError where it is neither."""
        if isinstance(spec, Mapping) and self.default is not None:
            spec = {"name": self.default} | dict(spec)
        built = isinstance(spec, tuple(self.registry[name] for name in self.registry))
        if not (built or isinstance(spec, (str, Mapping))):
            raise ValueError(f"a mapping with a name is required (got {spec!r})")
        return self.registry.validate(spec)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        del source, handler  # the registry knows its classes
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del schema, handler
        return self.registry.json_schema()


def _without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions expanded in place, so that it can be part of another one."""
    definitions = schema.pop("$defs", {})

    def expanded(part: Any) -> Any:
        if isinstance(part, list):
            return [expanded(each) for each in part]
        if not isinstance(part, dict):
            return part
        rest = {key: expanded(value) for key, value in part.items() if key != "$ref"}
        if not isinstance(part.get("$ref"), str):
            return rest
        return expanded(definitions[part["$ref"].removeprefix("#/$defs/")]) | rest

    return {key: expanded(value) for key, value in schema.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        name = getattr(value, "name", None)
        return {"name": name} | fields if isinstance(name, str) else fields
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value
