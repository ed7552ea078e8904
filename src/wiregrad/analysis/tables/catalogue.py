"""All table kinds, and the tables that a paper's configuration describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiregrad.analysis import exhibit
from wiregrad.analysis.tables import kinds
from wiregrad.analysis.tables.spec import TableSpec, table_kinds
from wiregrad.core.registry import import_all

if TYPE_CHECKING:
    from wiregrad.studies.schema import Paper

__all__ = ["DEFAULT", "parse", "table_kinds"]

import_all(kinds.__name__, kinds.__path__)

DEFAULT = "outcomes"
"""The kind of a table that names none."""


def parse(paper: Paper) -> dict[str, TableSpec]:
    """The tables of a paper's configuration by id; ConfigError names the table and the key."""
    return exhibit.parse(paper.tables, table_kinds, paper, section="tables", default=DEFAULT)
