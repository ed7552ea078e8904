"""JSON Schemas of the files in config/, as a researcher writes them, for editors.

pydantic describes entries once they are expanded. In a file `for_each` and `like` stand beside the
fields, `{placeholders}` in place of values, and `key!` in place of a key.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pydantic

from wiregrad.studies.schema import Experiment, MethodEntry, Paper, Rates
from wiregrad.studies.tuning_schema import Range, Sweep, Tuning

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LABEL_SETS: Schema = {
    "type": "object",
    "description": "Lists of labels by name; a set may hold other sets.",
    "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
}
_PLACEHOLDER: Schema = {"type": "string", "pattern": r"^\{[a-z][a-z0-9_]*\}$"}
_ROWS: Schema = {
    "oneOf": [
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "array", "minItems": 1},
        },
        {"type": "array", "minItems": 1, "items": {"type": "object", "minProperties": 1}},
    ],
}
_DEVICES: Schema = {
    "for_each": _ROWS
    | {"description": "One entry for each row of values; {name} stands for the row's value."},
    "like": {"type": "string", "description": "The sibling from which the entry starts."},
}
_LABELS: Schema = {
    "description": "Labels and label sets.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}
_WITHIN = {model.__name__: model for model in (Experiment, Range, Rates, Sweep, Tuning)}
"""Models that stand inside others, by the names of their definitions."""
_MAY_BE_PLACEHOLDERS = {"number", "integer", "boolean", "array", "object"}


def paper_json_schema() -> dict[str, Any]:
    """The schema of a paper's file, or of one of the files in its folder."""
    head = described(Paper)["properties"]
    properties = {name: head[name] for name in ("paper", "title", "arxiv", "convention")}
    definitions = sections(entry(Experiment))
    return document(
        "wiregrad paper",
        properties
        | {"label_sets": LABEL_SETS}
        | {name: {"$ref": f"#/$defs/{name}"} for name in definitions},
        definitions,
    )


def scale_json_schema() -> dict[str, Any]:
    """The schema of a scale: what it changes in the entries of each paper."""
    definitions = sections(entry(Experiment, complete=False))
    overrides = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/$defs/{name}"} for name in definitions},
    }
    papers = {"type": "object", "additionalProperties": overrides}
    properties = {"scale": {"type": "string"}, "papers": papers}
    return document("wiregrad scale", properties, definitions, ["scale"])


def methods_json_schema() -> dict[str, Any]:
    """The schema of methods.yaml: labels, and sets of labels."""
    labels = section(entry(MethodEntry), "labels")
    properties = {"label_sets": LABEL_SETS}
    schema = document("wiregrad methods", properties, {"labels": labels})
    return schema | {"additionalProperties": labels["additionalProperties"]}


def document(
    title: str, properties: Schema, definitions: Schema, required: Sequence[str] = ()
) -> Schema:
    """The schema of a file."""
    schema = {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }
    return schema | {"required": list(required)} if required else schema


def sections(experiment: Schema) -> Schema:
    """The definitions of a paper's sections."""
    titles = {name: {"type": "string"} for name in ("kind", "title", "caption")}
    labels = {"methods": _LABELS, "emphasise": _LABELS}
    drawn = {"type": "object", "properties": titles | labels | _DEVICES}
    texts = {name: {"type": "string"} for name in ("id", "statement", "where", "check", "why")}
    claim = {
        "type": "object",
        "properties": texts | {"args": {"type": "object"}} | _DEVICES,
        "anyOf": [{"required": ["id"]}, {"required": ["for_each", "claims"]}],
    }
    return {
        "experiments": section(experiment, "experiments"),
        "figures": section(drawn, "figures"),
        "tables": section(drawn, "tables"),
        "claims": {"type": "array", "items": claim},
    }


def section(entry: Schema, name: str) -> Schema:
    """Entries by name, among them blocks of entries under one `for_each`."""
    block = {
        "additionalProperties": False,
        "properties": {"for_each": _DEVICES["for_each"], name: {"$ref": f"#/$defs/{name}"}},
    }
    is_block = {"type": "object", "required": ["for_each", name]}
    return {
        "type": "object",
        "additionalProperties": {"if": is_block, "then": block, "else": entry},
    }


def entry(model: type[pydantic.BaseModel], *, complete: bool = True) -> Schema:
    """An entry as it is written; `complete`: with all that the model requires, or a `like`."""
    schema = described(model)
    definitions = schema.pop("$defs", {})
    loose = _loosened(_inlined(schema, definitions))
    written: Schema = loose["anyOf"][0]
    written["properties"] |= _DEVICES if complete else {"for_each": _DEVICES["for_each"]}
    if "methods" in written["properties"]:
        written["properties"]["methods"] = _LABELS
    if complete:
        written["anyOf"] = [{"required": schema["required"]}, {"required": ["like"]}]
    return written


def described(model: type[pydantic.BaseModel]) -> Schema:
    """The model's schema, with the docstrings of its fields, and of models in them."""
    schema = model.model_json_schema()
    _describe(schema, model)
    for name, below in schema.get("$defs", {}).items():
        _describe(below, _WITHIN[name])
    return schema


def _describe(schema: Schema, model: type[pydantic.BaseModel]) -> None:
    """Add docstrings: only here, since reading sources at each start would take its time."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    for field, text in pairwise(getattr(body, "body", [])):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            words = " ".join(str(ast.literal_eval(text.value)).split())
            schema["properties"][ast.unparse(field.target)]["description"] = words


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """`node` with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        below = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _inlined({**below, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}


def _loosened(node: Any) -> Any:
    """A schema that also takes placeholders, `key!`, and mappings that `like` completes."""
    if isinstance(node, list):
        return [_loosened(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in {"required", "default"}}
    for key in ("items", "anyOf", "prefixItems", "additionalProperties"):
        if key in kept:
            kept[key] = _loosened(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: _loosened(each) for name, each in kept["properties"].items()}
        kept["patternProperties"] = {"!$": {}}
    return {"anyOf": [kept, _PLACEHOLDER]} if kept.get("type") in _MAY_BE_PLACEHOLDERS else kept
