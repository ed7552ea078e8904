"""`wiregrad schema`: JSON Schemas of the files that a user writes, for editors and programs."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer()


class Kind(StrEnum):
    """Files that have a schema."""

    RUN = "run"


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="A run configuration.")],
) -> None:
    """Print the JSON Schema of a file of the configuration."""
    from wiregrad.runs import config

    printed = {Kind.RUN: config.json_schema}[kind]
    typer.echo(json.dumps(printed(), indent=2))
