"""The progress bar of a single run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from wiregrad.loop import Progress


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A callback for `Loop` that draws rounds done, time left and the last loss.

    Where standard error is no terminal nothing is drawn.
    """
    with tqdm(desc=title, unit="round", disable=None, dynamic_ncols=True) as drawn:

        def report(done: int, total: int, row: dict[str, Any] | None) -> None:
            drawn.total = total
            drawn.update(done - drawn.n)
            if row is not None:
                drawn.set_postfix(loss=f"{row['loss_train']:.4g}", refresh=False)

        yield report
