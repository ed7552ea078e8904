"""All figure kinds, and the figures that a paper's configuration describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiregrad.analysis import exhibit
from wiregrad.analysis.figures import kinds
from wiregrad.analysis.figures.spec import FigureSpec, figure_kinds
from wiregrad.core.registry import import_all

if TYPE_CHECKING:
    from wiregrad.studies.schema import Paper

__all__ = ["figure_kinds", "parse"]

import_all(kinds.__name__, kinds.__path__)


def parse(paper: Paper) -> dict[str, FigureSpec]:
    """The figures of a paper's configuration by id; ConfigError names the figure and the key."""
    return exhibit.parse(paper.figures, figure_kinds, paper, section="figures")
