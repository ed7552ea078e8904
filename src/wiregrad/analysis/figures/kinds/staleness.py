"""How stale gradients were when they were applied: the figure kind `staleness`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.runs import RunsFigure, legend
from wiregrad.analysis.figures.spec import figure_kinds
from wiregrad.analysis.results import asynchrony
from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.results.asynchrony import Run


@figure_kinds.register("staleness")
@dataclass(frozen=True, kw_only=True)
class StalenessFigure(RunsFigure):
    """The distribution of staleness: updates between reading x and applying its gradient.

    Dashed: on the simulated clock; solid: measured among processes. With `panels` a panel for each
    value of that setting.
    """

    panels: str = ""
    """A dotted key of the run's configuration."""
    log: bool = False
    """Whether the y axis is logarithmic, which shows rare values."""

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        looks = self.colours(results)
        runs = [run for run in self.runs(results) if run.setting("runtime.apply") != "all"]
        values = list(dict.fromkeys(str(run.setting(self.panels)) for run in runs)) or [""]
        both = len({run.setting("runtime.name") for run in runs}) > 1
        figure = Figure(figsize=(2.9 * len(values) + 3.2, 2.9))
        axes = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        handles, notes = {}, []
        for run in runs:
            applied = asynchrony.gradients(run)
            if applied is None:
                continue
            real = run.setting("runtime.name") == "parameter_server"
            counts = applied["staleness"].value_counts(normalize=True)
            counts = counts.reindex(range(counts.index.max() + 1), fill_value=0.0)
            counts = counts.where(counts > 0) if self.log else counts
            look = looks[run.label]
            dash = ("-" if real else style.VARIANT_LINE) if both else look.linestyle
            line: dict[str, Any] = {"color": look.colour, "linestyle": dash}
            axis = axes[values.index(str(run.setting(self.panels)))]
            axis.step(counts.index, counts.to_numpy(), where="mid", linewidth=1.2, **line)
            title = run.group.title
            title += (", processes" if real else ", simulated") if both else ""
            handles[title] = Line2D([], [], **line, label=title)
            if real:
                notes.append(_accounts(run, int(applied["staleness"].max())))
        for axis, value in zip(axes, values, strict=True):
            axis.set(xlabel="staleness, updates", yscale="log" if self.log else "linear")
            axis.set_title(f"{self.panels.rpartition('.')[2]}: {value}" if self.panels else "")
        axes[0].set_ylabel("share of the gradients")
        legend(figure, list(handles.values()))
        return figure, notes


def _accounts(run: Run, most: int) -> str:
    """How many messages a parameter server applied and rejected."""
    said = run.card.messages
    return (
        f"{run.group.title}, processes, bound {run.setting('runtime.staleness.bound')}: "
        f"{said['sent']} messages = {said['applied']} applied + {said['rejected']} rejected at the "
        f"end, staleness at most {most}."
    )
