"""`wiregrad methods` and `compressors`: the parts of a run, their promises and their settings."""

from __future__ import annotations

import dataclasses
import json
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from wiregrad.compressors import Compressor
    from wiregrad.methods import Method

app = typer.Typer()

BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
"""Bounds of a JSON Schema, as they are printed."""
SYMBOLS = {"contractive": "δ", "unbiased": "α", "biased": "error ≤"}
"""What a compressor's constant is, by its class."""
PARTIAL_FORMS = {
    None: "only those that wait for all workers (runtime.apply: all)",
    "arrived": "yes; the server takes the messages that have arrived",
    "padded": "yes; the workers that are not heard count as empty messages",
}
"""What `Method.partial` means, in words."""


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
    found = [_described_method(registry[name], schemas[name]) for name in names or registry]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    if not names:
        console.print(_method_table(found))
    for each in found if names else []:
        typer.echo(f"{each['name']}\n{each['source']}\n\n{each['description']}\n")
        typer.echo(f"Asynchronous runtimes: {PARTIAL_FORMS[each['partial']]}")
        typer.echo(f"Sweeps: {'yes' if each['sweepable'] else 'no'}\n")
        console.print(_parameter_table(each["parameters"]))


def _described_method(method: type[Method], schema: dict[str, Any]) -> dict[str, Any]:
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


def _yaml_text(default: Any) -> str:
    """A default as YAML would have it on one line."""
    if isinstance(default, dict):
        return "{" + ", ".join(f"{k}: {_yaml_text(v)}" for k, v in default.items()) + "}"
    return default if isinstance(default, str) else json.dumps(default)


def _method_table(found: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("Method", "Source", "Hyper-parameters", show_lines=True)
    for each in found:
        pairs = [
            f"{key}: {_yaml_text(value['default'])}" if "default" in value else key
            for key, value in each["parameters"].items()
        ]
        table.add_row(each["name"], each["source"], "\n".join(pairs))
    return table


def _parameter_table(parameters: dict[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("Hyper-parameter", "Default", "Allowed")
    for key, value in parameters.items():
        default = _yaml_text(value["default"]) if "default" in value else "required"
        table.add_row(key, default, value["allowed"])
    return table


@app.command()
def compressors(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Compressors to tell all about; none: a list.", show_default=False),
    ] = None,
    d: Annotated[int, typer.Option("--d", min=1, help="Elements of the vector.")] = 21_840,
    dtype: Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the named compressor, as ratio=0.01."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show class, constant and size on one vector of d normally distributed elements.

    Each compressor stands with a few settings, or with those of --set; a setting that is not shown
    is the default. The error of a biased one is the bound on ‖C(x) − x‖² / ‖x‖².
    """
    from rich.console import Console

    from wiregrad.compressors import registry

    found = [_described_compressor(c, d, dtype) for c in _chosen_compressors(names, settings)]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for name in names or []:
        typer.echo(f"{name}\n{registry[name].source}\n\n{cleandoc(registry[name].__doc__ or '')}\n")
    Console(highlight=False, markup=False).print(_compressor_table(found, with_source=not names))


def _chosen_compressors(names: list[str] | None, settings: list[str] | None) -> list[Compressor]:
    from wiregrad.compressors import registry
    from wiregrad.core.errors import ConfigError
    from wiregrad.core.validation import set_keys

    if not settings:
        return [
            registry.build({"name": name, **example})
            for name in names or registry
            for example in registry[name].examples()
        ]
    if not names or len(names) != 1:
        raise ConfigError("--set: name the one compressor that it is for")
    return [registry.build(set_keys({"name": names[0]}, settings))]


def _described_compressor(compressor: Compressor, d: int, dtype: str) -> dict[str, Any]:
    import torch

    from wiregrad.compressors import registry
    from wiregrad.core.errors import ConfigError
    from wiregrad.core.rng import Seeds
    from wiregrad.wire import DTYPE_CODES

    kinds = {str(kind).removeprefix("torch."): kind for kind in DTYPE_CODES}
    if dtype not in kinds:
        raise ConfigError(f"--dtype: {dtype!r}, allowed: {', '.join(kinds)}")
    x = torch.randn(d, generator=Seeds(0).generator("vector")).to(kinds[dtype])
    trip = compressor.roundtrip(x, generators=[Seeds(0).generator("compressor")])
    contract = compressor.contract((d,))
    settings = registry.spec(compressor)
    settings.pop("name")
    return {
        "name": compressor.name,
        "settings": {
            field.name: settings[field.name]
            for field in dataclasses.fields(compressor)
            if settings[field.name] != field.default
        },
        "class": contract.kind,
        "constant": contract.constant,
        "d": d,
        "dtype": dtype,
        "body_bits": trip.body_bits[0],
        "wire_bits": trip.wire_bits[0],
        "blocks": compressor.default_blocks,
        "source": compressor.source,
    }


def _compressor_table(found: list[dict[str, Any]], with_source: bool) -> Table:
    from rich.table import Table

    columns = ["Compressor", "Class", "Constant", "Body bits", "per element"]
    table = Table(*columns, *(["Source"] if with_source else []))
    for each in found:
        settings = ", ".join(f"{key}: {value}" for key, value in each["settings"].items())
        bits = each["body_bits"]
        table.add_row(
            f"{each['name']} {{{settings}}}" if settings else each["name"],
            each["class"],
            f"{SYMBOLS[each['class']]} {_number(each['constant'])}",
            f"{bits:,}",
            f"{bits / each['d']:.3f}",
            *([each["source"]] if with_source else []),
        )
    return table


def _number(constant: float) -> str:
    """Six digits, also of what is missing to 1."""
    missing = 1 - constant
    return f"1 − {missing:.3g}" if 0 < missing < 1e-4 else f"{constant:.6g}"
