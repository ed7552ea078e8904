"""Which sub-command lives in which module.

All of these modules are imported at every start, which takes some milliseconds: what is heavy
(torch, NumPy, pydantic, Rich, …) they import inside the commands.
"""

from __future__ import annotations

import importlib

import typer

from wiregrad.cli import Commands

GROUPS = {"data": "wiregrad.cli.data"}
"""Sub-commands of their own name: `wiregrad data list`."""

FLAT = (
    "wiregrad.cli.run",
    "wiregrad.cli.study",
    "wiregrad.cli.analysis",
    "wiregrad.cli.parts",
    "wiregrad.cli.schema",
)
"""Modules whose commands stand at the top: `wiregrad train`."""


def all_commands(app: typer.Typer) -> None:
    """Add every sub-command to `app`."""
    for module in FLAT:
        app.registered_commands += importlib.import_module(module).app.registered_commands
    for name, module in GROUPS.items():
        app.add_typer(importlib.import_module(module).app, name=name, cls=Commands)
