"""The command line, one module per group of commands: `wiregrad run | plan | train | data | …`.

Commands import what they need when they are called, and help is plain text, since Rich takes longer
to import than everything else here: `wiregrad --help` is to stay quick. May import all rooms.
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from wiregrad.core.errors import WiregradError


class Commands(TyperGroup):
    """Lists every command with its whole first sentence, which click would cut at the margin."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """See TyperGroup."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, c.get_short_help_str(limit=1000)) for name, c in self.commands.items()]
            )


app = typer.Typer(
    name="wiregrad",
    help="Benchmarks of distributed optimisation with compressed gradients.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point. A `WiregradError` is printed in one line, with exit status 2."""
    from wiregrad.cli import mount

    mount.all_commands(app)
    try:
        app()
    except WiregradError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
