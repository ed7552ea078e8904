"""`wiregrad methods`: which methods there are, where they come from and what they take."""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from wiregrad.methods import Method

app = typer.Typer()

BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


@app.command()
def methods(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Methods to tell all about; none: a list.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show the methods with source and hyper-parameters; with names, their pseudo-code too."""
    from rich.console import Console

    from wiregrad.methods import registry

    schemas = {schema["title"]: schema for schema in registry.json_schema()["oneOf"]}
    found = [_described(registry[name], schemas[name]) for name in names or registry]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    if not names:
        console.print(_list(found))
    for each in found if names else []:
        typer.echo(f"{each['name']}\n{each['source']}\n\n{each['description']}\n")
        typer.echo(f"Asynchronous runtimes: {FORMS[each['partial']]}")
        typer.echo(f"Sweeps: {'yes' if each['sweepable'] else 'no'}\n")
        console.print(_parameters(each["parameters"]))


FORMS = {
    None: "only those that wait for all workers (runtime.apply: all)",
    "arrived": "yes; the server takes the messages that have arrived",
    "padded": "yes; the workers that are not heard count as empty messages",
}
"""What `Method.partial` means, in words."""


def _described(method: type[Method], schema: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        key: {"required": key in schema["required"], "allowed": _allowed(value)}
        | ({"default": value["default"]} if "default" in value else {})
        for key, value in schema["properties"].items()
        if key != "name"
    }
    return {
        "name": schema["title"],
        "source": method.source,
        "description": cleandoc(method.__doc__ or ""),
        "partial": method.partial,
        "sweepable": method.sweepable,
        "parameters": parameters,
    }


def _allowed(schema: dict[str, Any]) -> str:
    """What a JSON Schema lets through, in words."""
    if "oneOf" in schema:
        return "a compressor"
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"])
    if "properties" in schema:
        return "{" + ", ".join(schema["properties"]) + "}"
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "boolean":
        return "true or false"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if key in schema]
    return " ".join([schema.get("type", "any"), ", ".join(bounds)]).strip()


def _text(default: Any) -> str:
    """A default as YAML would have it on one line."""
    if isinstance(default, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in default.items()) + "}"
    return default if isinstance(default, str) else json.dumps(default)


def _list(found: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("Method", "Source", "Hyper-parameters", show_lines=True)
    for each in found:
        pairs = [
            f"{key}: {_text(value['default'])}" if "default" in value else key
            for key, value in each["parameters"].items()
        ]
        table.add_row(each["name"], each["source"], "\n".join(pairs))
    return table


def _parameters(parameters: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("Hyper-parameter", "Default", "Allowed")
    for key, value in parameters.items():
        default = _text(value["default"]) if "default" in value else "required"
        table.add_row(key, default, value["allowed"])
    return table
