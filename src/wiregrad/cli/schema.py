"""`wiregrad schema`: JSON Schemas of the files that a user writes, for editors and programs."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

app = typer.Typer()


class FileKind(StrEnum):
    """Files that have a schema."""

    RUN = "run"
    """The configuration of one run."""
    PAPER = "paper"
    """A paper of config/papers/."""
    METHODS = "methods"
    """config/methods.yaml, and further files of labels."""
    SCALE = "scale"
    """A file of config/scales/."""


@app.command()
def schema(kind: Annotated[FileKind, typer.Argument(help="The file to be described.")]) -> None:
    """Print the JSON Schema of a file: one run, a paper, the methods, or a scale."""
    typer.echo(json.dumps(_schema(kind), indent=2))


def _schema(kind: FileKind) -> dict[str, Any]:
    if kind is FileKind.RUN:  # it describes all methods and problems, and imports torch for them
        from wiregrad.runs.config import json_schema

        return json_schema()
    from wiregrad.studies import json_schemas as files

    described = {
        FileKind.PAPER: files.paper_json_schema,
        FileKind.METHODS: files.methods_json_schema,
        FileKind.SCALE: files.scale_json_schema,
    }
    return described[kind]()
