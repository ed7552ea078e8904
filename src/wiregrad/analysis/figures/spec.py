"""The base classes of figure kinds and their registry.

A kind is a frozen dataclass in a module of `figures.kinds` that registers itself. Its fields are
the keys of an entry under `figures:` in a paper's configuration.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.figure import Figure

from wiregrad.analysis.exhibit import Exhibit
from wiregrad.analysis.figures import style
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.core.registry import Registry

figure_kinds: Registry[FigureSpec] = Registry("figure kind", key="kind")


@dataclass(frozen=True, kw_only=True)
class FigureSpec(Exhibit, abc.ABC):
    """Base of all figure kinds."""

    medians: ClassVar[bool] = True
    """Whether a line is the median over seeds."""

    @abc.abstractmethod
    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """The figure and notes for its footer, from the results that it `gathered`.

        At least one method has runs.
        """

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """The groups that belong in the figure, run or not."""
        return results.groups

    def looks(self, results: Results) -> dict[str, style.Look]:
        """The look of each method, the same in all figures of a paper."""
        return style.looks(results.labels or [g.label for g in results.groups], results.colours)


@dataclass(frozen=True, kw_only=True)
class MethodsFigure(FigureSpec):
    """Base of figures that show some methods of an experiment."""

    methods: tuple[str, ...] = ()
    """Labels; empty: all methods of the experiment."""

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(g for g in results.groups if not self.methods or g.label in self.methods)


@dataclass(frozen=True, kw_only=True)
class MethodFigure(FigureSpec):
    """Base of figures that show one method of an experiment."""

    label: str

    def shown(self, results: Results) -> tuple[GroupResult, ...]:
        """See FigureSpec."""
        return tuple(group for group in results.groups if group.label == self.label)
