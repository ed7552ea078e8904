"""`wiregrad data list | fetch | verify`: showing, fetching and checking data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from wiregrad.data import DataSet, Entry
    from wiregrad.data.loading import Attempt

app = typer.Typer(help="Data sets: list, fetch, verify.", no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Data sets, as `wiregrad data list` names them.", show_default=False),
]


@app.command("list")
def list_sets(names: Names = None) -> None:
    """Show every data set with its state, size and licence; with names, the details of each.

    Does not use the network.
    """
    from rich.console import Console
    from rich.table import Table

    from wiregrad.data import entries, entry, prepared, sources

    console = Console()
    if names:
        for chosen in [entry(name) for name in names]:
            console.print(_details(chosen))
        return
    table = Table()
    table.add_column("Data set", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("State")
    table.add_column("Licence")
    for each in entries().values():
        table.add_row(each.name, f"{each.bytes / 1e6:.1f}", _state(each), each.licence)
    console.print(table)
    console.print("also:   folder:PATH?size=64, your own images (wiregrad.data.folders)")
    mirror = sources.mirror_location() or "none"
    console.print(f"cache:  {prepared.cache_folder()} (WIREGRAD_CACHE)", soft_wrap=True)
    console.print(f"mirror: {mirror} (WIREGRAD_MIRROR)", soft_wrap=True)


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(help='Data sets; "a|b" is the first of these that is available.'),
    ],
    report: Annotated[
        Path | None,
        typer.Option(help="Write the result for one data set as JSON, and do not fail."),
    ] = None,
) -> None:
    """Fetch, verify and prepare data sets. Tries all, then fails if one is not available."""
    from wiregrad.core.errors import ConfigError, DataUnavailable
    from wiregrad.data import alternatives, load
    from wiregrad.data.generated import SETS
    from wiregrad.studies.files import DataReport, write

    if report is not None and len(names) != 1:
        raise ConfigError(f"data fetch --report: takes one data set, got {len(names)}")
    for name in names:  # a misspelt name fails before anything is fetched
        if name not in SETS:
            alternatives(name)
    failures = []
    for name in names:
        try:
            with _spinner() as say:
                found = load(name, say)
        except DataUnavailable as error:
            failures.append(str(error))
            outcome = DataReport(name=name, available=False, reason=str(error))
            typer.echo(f"{name}: not available", err=True)
        else:
            outcome = DataReport(name=name, available=True, **_provenance(found))
            typer.echo(
                f"{found.variant}: ready, from {found.source}, sha256 {found.digest[:16]}..."
            )
        if report is not None:
            write(report, outcome)
    if failures and report is None:
        raise DataUnavailable("; ".join(failures))


@app.command()
def verify(
    names: Names = None,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources", help="Prepare each again from every available source, and compare."
        ),
    ] = False,
) -> None:
    """Hash prepared data sets again (without names: all that are prepared)."""
    from rich.console import Console
    from rich.table import Table

    from wiregrad.core.errors import DataCorrupt
    from wiregrad.data import entries, entry, prepared

    chosen = [entry(name) for name in names] if names else list(entries().values())
    if not names:
        chosen = [each for each in chosen if prepared.cache_file(each.name).is_file()]
    table = Table("Data set", "Source", "Result")
    damaged = []
    for each in chosen:
        results = [("prepared", *_verify_prepared(each))]
        if sources:
            results += [(a.source, *_judge(a)) for a in _all_sources(each)]
        damaged += [each.name] if any(not good for _, good, _ in results) else []
        for source, _, text in results:
            table.add_row(each.name, source, text)
    Console().print(table)
    if damaged:
        raise DataCorrupt(f"data verify: {', '.join(damaged)}: see the table")


def _verify_prepared(entry: Entry) -> tuple[bool, str]:
    from wiregrad.core.errors import DataCorrupt
    from wiregrad.data import prepared

    try:
        found = prepared.read(entry.name, entry.digest)
    except DataCorrupt as error:
        return False, f"[red]damaged[/]: {error}; `wiregrad data fetch {entry.name}` repairs it"
    if found is None:
        return True, "not prepared"
    pinned = "" if entry.digest else " (no digest in the catalogue)"
    return True, f"[green]good[/], sha256 {found.digest[:16]}...{pinned}"


def _all_sources(entry: Entry) -> list[Attempt]:
    from wiregrad.data import loading, prepared

    with prepared.workspace(entry.name) as folder, _spinner() as say:
        return list(loading.try_sources(entry, folder, say))


def _judge(attempt: Attempt) -> tuple[bool, str]:
    if attempt.corrupt:
        return False, f"[red]differs[/]: {attempt.failure}"
    if attempt.arrays is None:
        return True, f"not available: {attempt.failure}"
    return True, "[green]the same tensors[/]"


def _details(entry: Entry) -> Table:
    from rich.table import Table

    table = Table(title=entry.name, show_header=False, title_justify="left")
    rows = {
        "what": entry.title,
        "note": entry.note,
        "cite": entry.cite,
        "licence": entry.licence,
        "size": f"{entry.bytes / 1e6:.1f} MB as prepared",
        "state": _state(entry),
        "sources": "\n".join(source.title for source in entry.sources),
        "sha256": entry.digest or "",
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, value)
    return table


def _state(entry: Entry) -> str:
    from wiregrad.core.errors import DataCorrupt
    from wiregrad.data import prepared, sources

    try:
        found = prepared.summary(entry.name)
    except DataCorrupt:
        return "[red]damaged[/]"
    if found is not None and found.get("digest") != (entry.digest or found.get("digest")):
        return "[yellow]out of date[/]"
    if found is not None:
        return f"[green]cached[/], from {found.get('source')}"
    usable = [source for source in entry.sources if sources.is_allowed(source)]
    local = [source for source in usable if sources.is_local(source)]
    if local:
        return local[0].title if local[0].kind == "builtin" else f"available from {local[0].title}"
    remote = [s.title for s in usable if s.kind != "mirror" or sources.mirror_is_remote()]
    return f"to be fetched from {' or '.join(remote)}" if remote else "not available"


def _provenance(found: DataSet) -> dict[str, Any]:
    return {
        "family": found.name,
        "variant": found.variant,
        "source": found.source,
        "sha256": found.digest,
        "bytes": sum(t.numel() * t.element_size() for t in found.tensors.values()),
    }


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, and for how long."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("looking in the cache")

        def say(text: str) -> None:
            progress.update(task, description=text)
            if hidden:
                typer.echo(text, err=True)

        yield say
