"""The results of the benchmarks: as a table on the terminal, in Markdown, in JSON, as a chart."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratios import Row
from wiregrad.core.files import write_atomic, write_json, write_text
from wiregrad.runs.environment import git_revision, versions

GROUPS = (
    "Compressors with error feedback",
    "Server and optimiser",
    "A whole step",
    "Sweeps",
    "Memory and scaling",
    "Start-up",
    "Peers",
)
COLOURS = {"stretch": "green", "pass": "sky", "MISSED": "vermillion", "": "grey"}


def machine() -> dict[str, str]:
    """The machine, the revision and the versions that the numbers were measured with."""
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "load average": f"{os.getloadavg()[0]:.1f} at the start",
        "revision": git_revision(),
        "kernels": _kernels(),
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items() if k != "wiregrad"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in found.items()}
    family = "/".join(fields.get(k, "?") for k in ("cpu family", "model", "stepping"))
    return f"{fields.get('model name', 'unknown CPU')} (family/model/stepping {family})"


def _kernels() -> str:
    from wiregrad import kernels

    return kernels.path()


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows by group; within a group those with a goal first, else in the order measured."""
    return sorted(rows, key=lambda row: (GROUPS.index(row.group), row.goal is None))


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row, as the table shows them."""
    least = row.goal.minimum if row.goal else None
    most = row.goal.stretch if row.goal else None
    measured = row.text(row.value)
    bounds = (row.bound(least), row.bound(most))
    return (row.what, row.against, measured, *bounds, row.mark or "–", row.detail)


HEADER = ("what", "against", "measured", "minimum", "stretch", "mark", "")


def summary(rows: list[Row]) -> str:
    """How many goals were met, in words."""
    marks = [row.mark for row in rows if row.goal]
    met = len(marks) - marks.count("MISSED")
    return f"{met} of {len(marks)} minimums met, {marks.count('stretch')} at the stretch goal"


def show(rows: list[Row], about: dict[str, str]) -> None:
    """Print the table."""
    console = Console(width=None if Console().is_terminal else 150, highlight=False)
    table = Table(title="wiregrad benchmarks", caption=f"{summary(rows)} · {_about(about)}")
    for name in HEADER:
        right = name in {"measured", "minimum", "stretch"}
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    styles = {"MISSED": "bold red", "pass": "green", "stretch": "bold green", "": "dim"}
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            table.add_section()
            table.add_row(f"[bold]{group}")
        shown = [escape(cell) for cell in cells(row)]
        shown[5] = f"[{styles[row.mark]}]{shown[5]}"
        table.add_row(*shown)
    console.print(table)


def _about(about: dict[str, str]) -> str:
    return " · ".join(f"{key} {value}" for key, value in about.items() if key != "versions")


def write(rows: list[Row], about: dict[str, str], folder: Path) -> list[Path]:
    """Write report.md, rows.json, benchmarks.svg and .png to `folder`; return their paths."""
    write_text(folder / "report.md", markdown(rows, about))
    write_json(
        folder / "rows.json", {"schema": 1, "about": about, "rows": [r.as_json() for r in rows]}
    )
    return [folder / "report.md", folder / "rows.json", *chart(rows, about, folder)]


def markdown(rows: list[Row], about: dict[str, str]) -> str:
    """The table and the machine, in Markdown."""
    lines = ["# Benchmarks", "", summary(rows) + ".", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "[../README.md](../README.md) explains each row.", ""]
    lines += ["![Measured values relative to their minimum](benchmarks.svg)", ""]
    for group in GROUPS:
        mine = [row for row in rows if row.group == group]
        if mine:
            lines += [f"## {group}", "", _line(HEADER), _line(["---"] * len(HEADER))]
            lines += [_line(cells(row)) for row in mine] + [""]
    return "\n".join(lines)


def _line(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def chart(rows: list[Row], about: dict[str, str], folder: Path) -> list[Path]:
    """Bars of measured ÷ minimum, with the stretch goals; comparisons in a second panel."""
    from matplotlib.figure import Figure

    from wiregrad.analysis.figures import style

    goals = [row for row in rows if row.goal and row.value > 0]
    peers = [row for row in rows if row.goal is None and row.unit == "×"]
    panels = [part for part in (goals, peers) if part]
    if not panels:
        return []
    with style.shared_style():
        figure = Figure(figsize=(7.2, 0.9 + 0.21 * sum(len(p) + 3 for p in panels)))
        heights = [len(panel) + 1 for panel in panels]
        axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
        for ax, panel in zip(axes, panels, strict=True):
            _bars(ax, panel)
        style.title(figure, "The suite's own work, measured against limits and peers")
        style.footer(figure, [f"wiregrad · {about['cpu']} · revision {about['revision'][:7]}"])
        contents = {
            folder / "benchmarks.svg": style.svg_bytes(figure, "benchmarks"),
            folder / "benchmarks.png": style.png_bytes(figure, "benchmarks"),
        }
    for path, content in contents.items():
        with write_atomic(path) as temporary:
            temporary.write_bytes(content)
    return list(contents)


def _relative(row: Row, value: float) -> float:
    """`value` relative to the minimum (larger is better); for a comparison, the ratio itself."""
    if row.goal is None:
        return value
    return row.goal.minimum / value if row.goal.at_most else value / row.goal.minimum


def _bars(ax: object, rows: list[Row]) -> None:
    import seaborn as sns
    from matplotlib.axes import Axes

    from wiregrad.analysis.figures import style

    assert isinstance(ax, Axes)
    lengths = [_relative(row, row.value) for row in rows]
    names = [f"{row.what}, {row.against}" if row.goal is None else row.what for row in rows]
    places = [f"{number}" for number in range(len(rows))]  # two rows may have one name
    colours = [style.COLOURS[COLOURS[row.mark]] for row in rows]
    sns.barplot(
        x=lengths,
        y=places,
        hue=places,
        palette=colours,
        ax=ax,
        legend=False,
        saturation=1,
        width=0.62,
    )
    ax.set_xscale("log")
    ax.axvline(1, color="#444444", linewidth=0.9, zorder=3)
    ax.set_yticks(range(len(rows)), names)
    ax.grid(visible=False, axis="y")
    ends = [*lengths, 1.0]
    for at, row in enumerate(rows):
        if row.goal and row.goal.stretch:
            stretch = _relative(row, row.goal.stretch)
            ends.append(stretch)
            ax.plot([stretch, stretch], [at - 0.4, at + 0.4], color="#444444", linewidth=1.4)
        where = ax.get_yaxis_transform()  # a column of values at the right edge
        ax.text(1.01, at, row.text(row.value), transform=where, va="center", fontsize=6.5)
    ax.set_xlim(min(ends) * 0.85, max(ends) * 1.15)
    low, high = math.floor(math.log2(min(ends))), math.ceil(math.log2(max(ends)))
    step = max(1, (high - low) // 6)
    ticks = [2.0**power for power in range(low, high + 1, step)]
    inside = [t for t in ticks if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
    ax.set_xticks(inside, [f"{t:g}" for t in inside])
    ax.minorticks_off()
    label = (
        "times as fast as the peer" if rows[0].goal is None else "measured ÷ minimum (| stretch)"
    )
    ax.set_xlabel(label)
    ax.set_ylabel("")
