"""Options that several commands share: each is offered, and the command gets its bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer
from typer.testing import CliRunner

from wiregrad.cli.options import bundled

Scale = Annotated[str, typer.Option()]
Names = Annotated[list[str], typer.Option("--name")]


@dataclass(frozen=True, kw_only=True)
class Base:
    """Options with defaults."""

    scale: Scale = "small"
    names: Names = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Strict(Base):
    """The same, one of them required."""

    scale: Scale = field()


got = []
app = typer.Typer()


@app.command()
@bundled
def lenient(options: Base, what: Annotated[str, typer.Argument()], fast: bool = False) -> None:
    """Takes a bundle, an argument and an option."""
    got.append((options, what, fast))


@app.command()
@bundled
def strict(options: Strict) -> None:
    """Takes a bundle alone."""
    got.append(options)


def call(*arguments):
    got.clear()
    return CliRunner().invoke(app, list(arguments))


def test_a_command_gets_its_bundle_and_its_own_options():
    assert call("lenient", "it", "--name", "a", "--name", "b", "--fast").exit_code == 0
    assert got == [(Base(names=["a", "b"]), "it", True)]
    assert call("lenient", "it").exit_code == 0
    assert got == [(Base(), "it", False)]


def test_an_option_without_a_default_is_required():
    assert call("strict").exit_code == 2
    assert call("strict", "--scale", "large").exit_code == 0
    assert got == [Strict(scale="large")]
    page = call("strict", "--help").output
    assert "Takes a bundle alone." in page
