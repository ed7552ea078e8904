"""What the figures of stale and compressed gradients share: runs, colours, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodsFigure
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run


@dataclass(frozen=True, kw_only=True)
class RunsFigure(MethodsFigure):
    """Base of figures in which every run has its own line."""

    medians: ClassVar[bool] = False

    def colours(self, results: Results) -> dict[str, style.Look]:
        """Looks of the methods shown, no colour twice: dashes do not tell methods apart here."""
        looks = self.looks(results)
        return style.distinct({g.label: looks[g.label] for g in self.shown(results) if g.cards})

    def runs(self, results: Results) -> list[Run]:
        """The runs of the groups that are shown."""
        return list(asynchrony.runs(results, [g.label for g in self.shown(results)]))


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Draw the legend beside the panels."""
    figure.legend(handles=list(handles), loc="outside right center", labelspacing=0.5)


def handle(run: Run, look: style.Look, **more: Any) -> Line2D:
    """The entry of a run in the legend; `more` overrides properties of the line."""
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.linestyle}
    line |= {"marker": look.marker, "markersize": 4.5, "label": run.group.title}
    return Line2D([], [], **(line | more))


def quantity(column: str) -> str:
    """The symbol of a column on an axis."""
    return {"grad_norm": "‖∇f‖"}.get(column, column)
