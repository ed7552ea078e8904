"""The base class of table kinds, their registry and their columns: one row a method.

A kind is a frozen dataclass in a module of `tables.kinds` that registers itself. Its fields are the
keys of an entry under `tables:` in a paper's configuration.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wiregrad.analysis.exhibit import Exhibit
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.statistics import Estimate
from wiregrad.core.registry import Registry

table_kinds: Registry[TableSpec] = Registry("table kind", key="kind")

Form = Literal["fixed", "bits", "count", "rank", "plain"]
Cell = Estimate | str


@dataclass(frozen=True)
class Column:
    """One quantity: a cell for each label, which end is best, and how it is printed."""

    key: str
    heading: str
    best: Literal["min", "max"] | None
    form: Form
    cells: Mapping[str, Cell]


@dataclass(frozen=True, kw_only=True)
class TableSpec(Exhibit, abc.ABC):
    """Base of all table kinds."""

    @abc.abstractmethod
    def columns(self, mine: Results) -> list[Column]:
        """The quantities of the table, from the results that it `gathered`.

        A cell without a number holds text that says why.
        """

    @abc.abstractmethod
    def notes(self, mine: Results) -> list[str]:
        """How to read the table, and what each run was given."""
