"""The progress bar of a single run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from wiregrad.runs.loop import Progress as Report


@contextmanager
def bar(title: str) -> Iterator[Report]:
    """Yield a callback for `Loop` that draws rounds done, time left and the last loss.

    Nothing is drawn where standard error is no terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as drawn:
        task = drawn.add_task(title, total=None)

        def report(done: int, total: int, row: dict[str, Any] | None) -> None:
            drawn.update(task, completed=done, total=total)
            if row is not None:
                drawn.update(task, description=f"{title}  loss {row['loss_train']:.4g}")

        yield report
