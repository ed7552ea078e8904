"""One style for all figures: a look for each method, fonts, title and footer, and files."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

COLOURS = {
    "black": "#1a1a1a",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#b8609a",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "grey": "#8a8a8a",
    "brown": "#a0703c",
}
"""Okabe and Ito's colour-blind-safe palette, without its yellow (too faint on white), with a darker
purple, and with grey and brown added."""

LineStyle = Literal["-"] | tuple[float, tuple[float, ...]]
DASHES: dict[str, LineStyle] = {
    "solid": "-",
    "dashed": (0, (5, 1.8)),
    "dashdot": (0, (5, 1.6, 1, 1.6)),
    "dotted": (0, (1, 1.3)),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
INK = "#444444"
"""Colour of axes and of all that belongs to no method."""
FOOTER_COLOUR = "#6b6b6b"
BOUND_LINE: LineStyle = (0, (1, 1.2))
"""The line of a bound, in the colour of its method."""
VARIANT_LINE: LineStyle = (0, (4, 1.8))
"""The line of one of two variants of a method, the other being solid."""
GUIDE: dict[str, Any] = {"color": INK, "linestyle": (0, (2, 2))}
"""The line of a target, a tolerance or an expected slope."""
PNG_DPI = 200


@dataclass(frozen=True)
class Look:
    """How one method is drawn, in every figure."""

    colour: str
    dash: str
    marker: str

    @property
    def linestyle(self) -> LineStyle:
        """The dash as matplotlib wants it."""
        return DASHES[self.dash]


# A family shares its colour: full precision is black, Top-k blue, sign vermillion, and so on.
# A variant that serves as a comparison is dotted or dashed.
_KNOWN = {
    "dist_ams": Look("black", "solid", "o"),
    "comp_ams_top_k": Look("blue", "solid", "s"),
    "comp_ams_block_sign": Look("vermillion", "solid", "^"),
    "comp_ams_block_sign_scripts": Look("vermillion", "dashed", "^"),
    "qadam": Look("green", "dashed", "D"),
    "one_bit_adam": Look("purple", "dashdot", "v"),
    "dist_sgd": Look("grey", "solid", "P"),
    "dist_sgdm": Look("grey", "dashed", "X"),
    "qadam_published": Look("green", "dotted", "<"),
    "one_bit_adam_published": Look("purple", "dotted", ">"),
    "ef_sgd": Look("orange", "dashdot", "p"),
    "naive_top_k": Look("sky", "dotted", "h"),
    "naive_sign": Look("brown", "dotted", "*"),
    "comp_ams_top_k_01": Look("sky", "solid", "d"),
}
# AdaCGD's family, which shares only the arena's figure with the methods above.
_FAMILY = {
    "gd": Look("black", "solid", "o"),
    "ef21": Look("blue", "solid", "s"),
    "lag": Look("orange", "solid", "D"),
    "lag_untuned": Look("orange", "dotted", "d"),
    "lag_wk": Look("orange", "dashed", "X"),
    "lag_ps": Look("orange", "dashdot", "P"),
    "clag": Look("green", "solid", "^"),
    "adacgd": Look("vermillion", "solid", "v"),
    "adacgd_quantised": Look("vermillion", "dotted", ">"),
    "adacgd_mixed": Look("vermillion", "dashed", "<"),
    "ef21_plus": Look("blue", "dashed", "P"),
    "ef": Look("sky", "solid", "p"),
    "dcgd": Look("grey", "dotted", "h"),
    "three_pc_v1": Look("purple", "solid", "*"),
    "three_pc_v2": Look("purple", "dashed", "P"),
    "three_pc_v4": Look("purple", "dashdot", "X"),
    "three_pc_v5": Look("purple", "dotted", "D"),
    "marina": Look("brown", "solid", "p"),
    "marina_perm_k": Look("brown", "dashed", "h"),
    "diana": Look("grey", "solid", "s"),
    "ef21_bc_2": Look("sky", "solid", "<"),
    "ef21_bc_4": Look("sky", "dashed", ">"),
    "ef21_bc_8": Look("sky", "dashdot", "P"),
    "ef21_bc_16": Look("sky", "dotted", "X"),
    "bidirectional_adacgd": Look("purple", "solid", "D"),
}


def looks(labels: Iterable[str], colours: Mapping[str, str] | None = None) -> dict[str, Look]:
    """A look for each label; `labels` are in the order of the method list.

    A label without a look of its own takes the next free pair of colour and dash, so a method that
    is appended never changes the look of another. `colours`, by label, are names of the palette or
    hex codes and override the colour only.
    """
    taken = {(look.colour, look.dash) for look in _KNOWN.values()}
    free = _free_looks(taken)
    chosen: dict[str, Look] = {}
    for label in labels:
        look = _KNOWN.get(label) or _FAMILY.get(label) or next(free)
        colour = (colours or {}).get(label) or look.colour
        chosen[label] = Look(COLOURS.get(colour, colour), look.dash, look.marker)
    return chosen


def distinct(chosen: Mapping[str, Look]) -> dict[str, Look]:
    """The looks with no colour twice, for figures whose dashes do not tell methods apart.

    A label keeps its colour unless one before it has the same; colours repeat once all are used.
    """
    found: dict[str, Look] = {}
    for label, look in chosen.items():
        used = {other.colour for other in found.values()}
        own = [look.colour] if look.colour not in used else []
        free = own + [c for c in COLOURS.values() if c not in used] + [look.colour]
        found[label] = replace(look, colour=free[0])
    return found


def _free_looks(taken: set[tuple[str, str]]) -> Iterator[Look]:
    pairs = [(c, d) for d in DASHES for c in COLOURS if (c, d) not in taken]
    # Once every pair is used, they repeat with other markers.
    for (colour, dash), marker in zip(itertools.cycle(pairs), itertools.cycle(reversed(MARKERS))):
        yield Look(colour, dash, marker)


@contextmanager
def shared_style() -> Iterator[None]:
    """A context in which figures are drawn in the project's style, with reproducible SVG ids."""
    with mpl.rc_context():
        mpl.use("agg")
        sns.set_theme(context="paper", style="ticks", font="DejaVu Sans", rc=_RC)
        yield


_RC = {
    "svg.hashsalt": "wiregrad",
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "font.size": 8,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "lines.solid_capstyle": "round",
}


def footer(figure: Figure, lines: Iterable[str]) -> None:
    """Put small grey lines under the panels.

    The figure grows by the height of the lines, so that its panels keep theirs.
    """
    width = int(figure.get_figwidth() * 20)
    wrapped = [part for line in lines for part in textwrap.wrap(line, width)]
    figure.set_figheight(figure.get_figheight() + 0.115 * len(wrapped))
    figure.supxlabel(
        "\n".join(wrapped), x=0.012, ha="left", fontsize=6, color=FOOTER_COLOUR, linespacing=1.35
    )


def title(figure: Figure, text: str) -> None:
    """Put the heading at the left edge of the figure."""
    figure.suptitle(text, x=0.012, ha="left", fontsize=10, fontweight="bold")


def svg_bytes(figure: Figure, description: str) -> bytes:
    """The figure as SVG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": "wiregrad", "Description": description}
    figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()


def png_bytes(figure: Figure, description: str) -> bytes:
    """The figure as PNG at `PNG_DPI`; equal figures give equal bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": "wiregrad", "Description": description}
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()
