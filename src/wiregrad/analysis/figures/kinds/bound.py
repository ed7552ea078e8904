"""What a theorem bounds, beside its bound, at a step that it allows: the figure kind `bound`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.ticker as mticker
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodsFigure, figure_kinds
from wiregrad.analysis.results import bounds
from wiregrad.analysis.results.aggregate import Results

WORDS: dict[bounds.Regime, tuple[str, str]] = {
    "nonconvex": (
        "mean of ‖∇f‖² over x⁰ … xᵀ⁻¹",
        (
            "Bound: 2(f(x⁰) − f*)/(γT), with the lowest loss that any run here found in place "
            "of f*, which can only lower the bound."
        ),
    ),
    "pl": (
        "f(xᵀ) − f*",
        (
            "Bound: (1 − γμ)ᵀ (f(x⁰) − f*). f* is known between the lowest loss and the largest "
            "f(x) − ‖∇f(x)‖²/(2μ) of any run here, less rounding; measured values take the lower "
            "end, bounds the upper one, and rows where the two ends matter are left out."
        ),
    ),
}


@figure_kinds.register("bound")
@dataclass(frozen=True, kw_only=True)
class BoundFigure(MethodsFigure):
    """What a theorem bounds and its bound (dotted) against the rounds T, and their ratio."""

    regime: bounds.Regime = "nonconvex"
    """The theorem: for nonconvex f, or under the Polyak-Łojasiewicz condition."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.looks(results)
        figure = Figure(figsize=(8.6, 3.2))
        left, right = figure.subplots(1, 2)
        handles = {}
        worst = bounds.ratios(results, self.methods, self.regime)
        for group, table in bounds.each_run(results, self.methods, self.regime):
            look = looks[group.label]
            line: dict[str, Any] = {"color": look.colour, "linewidth": 1.4}
            left.plot(table["T"], table["measured"], linestyle=look.linestyle, **line)
            left.plot(
                table["T"],
                table["bound"],
                color=look.colour,
                linewidth=0.9,
                linestyle=style.BOUND_LINE,
            )
            ratio = table["measured"] / table["bound"]
            right.plot(table["T"], ratio, linestyle=look.linestyle, **line)
            handles[group.label] = Line2D(
                [],
                [],
                linestyle=look.linestyle,
                label=f"{group.title}: at most {worst[group.label]:.2g}",
                **line,
            )
        measured, note = WORDS[self.regime]
        scale = "log" if self.regime == "nonconvex" else "linear"
        left.set(xscale=scale, yscale="log", xlabel="rounds T", ylabel=measured)
        right.set(xscale=scale, yscale="log", xlabel="rounds T", ylabel="measured / bound")
        right.axhline(1.0, linewidth=0.9, **style.GUIDE)
        for axis in (left, right):
            axis.yaxis.set_minor_locator(mticker.NullLocator())
        bottom, top = right.get_ylim()
        right.set_ylim(max(bottom, 1e-6), max(2.0, top))
        figure.legend(
            handles=list(handles.values()), loc="outside right center", title="measured / bound"
        )
        return figure, ["Dotted, left: the bound of the same colour. " + note]
