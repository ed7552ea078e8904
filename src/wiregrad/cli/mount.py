"""Which command is in which module.

Every start imports all of these modules, which takes some milliseconds. What is heavy (torch,
NumPy, pydantic, Rich, …) is imported inside the commands.
"""

from __future__ import annotations

import importlib

import typer

from wiregrad.cli import Commands

GROUPS = {"data": "wiregrad.cli.data"}
"""Groups of commands: `wiregrad data list`."""

FLAT = (
    "wiregrad.cli.run",
    "wiregrad.cli.study",
    "wiregrad.cli.analysis",
    "wiregrad.cli.parts",
    "wiregrad.cli.schema",
)
"""Modules of commands without a group: `wiregrad train`."""


def all_commands(app: typer.Typer) -> None:
    """Add every command to `app`."""
    for module in FLAT:
        app.registered_commands += importlib.import_module(module).app.registered_commands
    for name, module in GROUPS.items():
        app.add_typer(importlib.import_module(module).app, name=name, cls=Commands)
