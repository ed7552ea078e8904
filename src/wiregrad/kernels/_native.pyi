"""The compiled module: a submodule of the same functions for each path; see the wrappers."""

from typing import Protocol

class Path(Protocol):
    def mean_rows(self, rows: int, n: int, d: int, stride: int, out: int) -> None: ...
