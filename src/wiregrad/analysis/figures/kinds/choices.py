"""Which compressor each worker chose, round by round: the figure kind `choices`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wiregrad.analysis.figures import style
from wiregrad.analysis.figures.spec import MethodFigure, figure_kinds
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.runs import record

NOTHING = "#ececec"
"""Colour of an empty payload."""
WINDOWS = 150
"""The largest number of points of a share: longer runs show means over windows of rounds."""

Grid = npt.NDArray[np.int8]


@figure_kinds.register("choices")
@dataclass(frozen=True, kw_only=True)
class ChoicesFigure(MethodFigure):
    """Which compressor each worker chose in each round, the share of each choice, and ‖∇f‖².

    Three panels above each other, of the first run of one method.
    """

    label: str = "adacgd"

    def draw(self, results: Results) -> tuple[Figure, list[str]]:
        """See FigureSpec."""
        (group,) = self.shown(results)
        card = group.cards[0]
        run = results.frame[
            (results.frame["label"] == self.label) & (results.frame["seed"] == card.seed)
        ].sort_values("step")
        grid = _grid(group, str(run["run_id"].iloc[0]))
        names = compressor_names(card.config["method"])
        colours = [NOTHING, *_colours(len(names))]
        figure = Figure(figsize=(7.6, 5.0))
        top, middle, bottom = figure.subplots(
            3, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1.7, 1.2]}
        )
        _raster(top, grid, colours)
        _shares(middle, grid, colours)
        square = run["grad_norm"].to_numpy(dtype="float64") ** 2
        bottom.plot(run["step"], square, color=style.COLOURS["black"], linewidth=1.2)
        bottom.set(yscale="log", xlabel="round", ylabel="‖∇f(x)‖²")
        bottom.set_xlim(1.5, grid.shape[1] + 1.5)
        handles = [Patch(color=colours[0], label="nothing (empty payload)")]
        handles += [
            Patch(color=colour, label=name) for name, colour in zip(names, colours[1:], strict=True)
        ]
        figure.legend(handles=handles[::-1], loc="outside right center", title="what was sent")
        sent = float((grid >= 0).mean())
        return figure, [
            (
                f"{group.title_and_point}. Round 1, in which every worker sends the "
                f"exact gradient, is left out. Workers sent a message in {sent:.0%} of their "
                "rounds."
            )
        ]


def compressor_names(method: dict[str, Any]) -> list[str]:
    """Names of the compressors that a method can choose from, cheapest first."""
    return [compressor_name(each) for each in method["compressors"]]


def compressor_name(compressor: dict[str, Any]) -> str:
    """A compressor's configuration as a short name, e.g. Top-4."""
    name = str(compressor["name"])
    k, ratio = compressor.get("k"), compressor.get("ratio")
    if name in {"top_k", "rand_k"}:
        kind = {"top_k": "Top", "rand_k": "Rand"}[name]
        return f"{kind}-{k}" if k else f"{kind}-{100 * float(ratio or 0):g} %"
    if name == "identity":
        return "everything"
    if name == "qsgd":
        return f"QSGD, {compressor.get('levels', '?')} levels"
    return name.replace("_", " ")


def _grid(group: GroupResult, run_id: str) -> Grid:
    """The choices from round 2 on, int8 `[workers, rounds]`; −1 where nothing was sent."""
    if group.directory is None:
        raise ValueError(f"{group.label}: where its files are is not known")
    choices = record.read_choices(group.directory / run_id / record.CHOICES)
    return choices[1:].T


def _colours(count: int) -> list[Any]:
    """Colours of the choices: light for the cheapest, dark for the dearest."""
    return [mpl.colormaps["viridis_r"](share) for share in np.linspace(0.08, 1.0, count)]


def _raster(axis: Axes, grid: Grid, colours: list[Any]) -> None:
    bounds = np.arange(-1.5, len(colours) - 0.5)
    axis.imshow(
        grid,
        cmap=ListedColormap(colours),
        norm=BoundaryNorm(bounds, len(colours)),
        aspect="auto",
        interpolation="nearest",
        extent=(1.5, grid.shape[1] + 1.5, grid.shape[0] + 0.5, 0.5),
    )
    axis.grid(visible=False)
    axis.set_ylabel("worker")
    axis.set_yticks([1, *range(5, grid.shape[0] + 1, 5)])


def _shares(axis: Axes, grid: Grid, colours: list[Any]) -> None:
    rounds = grid.shape[1]
    window = max(1, -(-rounds // WINDOWS))
    starts = np.arange(0, rounds, window)
    shares = np.array(
        [
            [(grid[:, s : s + window] == level).mean() for s in starts]
            for level in range(len(colours) - 2, -2, -1)
        ]
    )
    edges = np.append(starts, rounds) + 1.5
    below = np.zeros(len(starts))
    for share, colour in zip(shares, colours[::-1], strict=True):
        axis.stairs(below + share, edges, baseline=below, fill=True, color=colour, linewidth=0)
        below = below + share
    axis.set(ylim=(0, 1), ylabel="share of workers")
    axis.grid(visible=False)
    if window > 1:
        axis.set_ylabel(f"share of workers\n(mean of {window} rounds)")
