"""The command line: `wiregrad run | launch | train | tune | preflight | data | methods | …`.

Sub-commands import what they need when they are called, so that `wiregrad --help` stays quick.
"""

from __future__ import annotations

import sys

import typer

from wiregrad.errors import WiregradError

app = typer.Typer(
    name="wiregrad",
    help="Benchmarks of distributed optimisation with compressed gradients.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: an error a user can meet is one line and exit status 2."""
    from wiregrad.cli import mount

    mount.all_commands(app)
    try:
        app()
    except WiregradError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
