"""`wiregrad figure`, `tables`, `claims`, `report` and `publish`: what is made of histories.

All of them take `--results results/published`, so that everything can be drawn again from the
published histories without training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from wiregrad.cli.train import ConfigDir, Results, Scale, load
from wiregrad.core.errors import ConfigError

app = typer.Typer()
T = TypeVar("T")

Methods = Annotated[
    list[Path],
    typer.Option(
        "--methods", "--extra-methods", help="Further files of labels, like methods.yaml."
    ),
]
Papers = Annotated[list[str], typer.Option("--paper", help="Only these papers.")]
Figures = Annotated[Path, typer.Option(help="Folder of the pictures: FIGURES/PAPER/FIGURE.svg.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing.")]


def _chosen(specs: Mapping[str, T], names: Iterable[str], what: str) -> dict[str, T]:
    """The entries called `names`, or all; ConfigError lists what there is."""
    wanted = list(names) or list(specs)
    for name in wanted:
        if name not in specs:
            raise ConfigError(f"no {what} {name!r} (known: {', '.join(specs) or 'none'})")
    return {name: specs[name] for name in wanted}


def _say(paths: Iterable[Path], *, quiet: bool) -> None:
    if not quiet:
        for path in paths:
            typer.echo(str(path))


@app.command()
def figure(
    paper: Annotated[str, typer.Argument(help="A file of config/papers/.")],
    names: Annotated[list[str], typer.Argument(help="Figures; none: all of the paper.")] = [],
    scale: Scale = "smoke",
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    out: Annotated[
        Path, typer.Option(help="OUT/PAPER/FIGURE.{svg,png}, or one .svg for one figure.")
    ] = Path("figures"),
    quiet: Quiet = False,
) -> None:
    """Draw figures of a paper, as SVG and PNG."""
    from wiregrad.analysis.figures import catalogue, render
    from wiregrad.analysis.results import aggregate

    plan = load(scale, config_dir, results, methods, [paper])
    specs = _chosen(catalogue.parse(plan.papers[paper]), names, "figure")
    if out.suffix == ".svg" and len(specs) != 1:
        raise ConfigError(f"--out {out}: one file takes one figure (got {len(specs)})")
    found = aggregate.collect(plan, {(paper, e) for spec in specs.values() for e in spec.reads})
    for name, spec in specs.items():
        svg = out if out.suffix == ".svg" else out / paper / f"{name}.svg"
        _say(render.write(spec, paper, found, svg), quiet=quiet)


@app.command()
def tables(
    paper: Annotated[str, typer.Argument(help="A file of config/papers/.")],
    names: Annotated[list[str], typer.Argument(help="Tables; none: all of the paper.")] = [],
    scale: Scale = "smoke",
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    out: Annotated[
        Path | None, typer.Option(help="OUT/PAPER/TABLE.{csv,md,tex} [RESULTS/SCALE/tables].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write tables of a paper, as CSV, Markdown and LaTeX."""
    from wiregrad.analysis.results import aggregate
    from wiregrad.analysis.tables import catalogue, render

    plan = load(scale, config_dir, results, methods, [paper])
    specs = _chosen(catalogue.parse(plan.papers[paper]), names, "table")
    found = aggregate.collect(plan, {(paper, e) for spec in specs.values() for e in spec.reads})
    folder = out or results / scale / "tables"
    for name, spec in specs.items():
        _say(render.write(spec, name, paper, found, folder), quiet=quiet)


@app.command()
def claims(
    scale: Scale = "smoke",
    paper: Papers = [],
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    out: Annotated[
        Path | None, typer.Option(help="OUT/claims.{csv,md,json} [RESULTS/SCALE].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Check the claims of the papers: claims.csv, claims.md, claims.json."""
    from wiregrad.analysis.claims import judge, render
    from wiregrad.analysis.results import aggregate

    plan = load(scale, config_dir, results, methods, paper or None)
    verdicts = judge.judge_all(plan, aggregate.collect(plan))
    paths = render.write(verdicts, scale, out or results / scale)
    if not quiet:
        typer.echo(render.summary(verdicts))
    _say(paths, quiet=quiet)


@app.command()
def report(
    scale: Scale = "smoke",
    paper: Papers = [],
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    figures: Figures = Path("figures"),
    out: Annotated[
        Path | None, typer.Option(help="OUT/report.html and OUT/explorer.html [RESULTS/SCALE].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the report and the explorer: two pages that open without a network.

    Pictures in FIGURES that are out of date, or of another scale, are drawn anew.
    """
    from wiregrad.analysis.report import explorer, page
    from wiregrad.analysis.results import aggregate

    plan = load(scale, config_dir, results, methods, paper or None)
    found = aggregate.collect(plan)
    folder = out or results / scale
    paths = [
        page.write(plan, found, figures, folder / "report.html"),
        explorer.write(plan, found, folder / "explorer.html"),
    ]
    _say(paths, quiet=quiet)


@app.command()
def publish(
    scale: Scale,
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    figures: Figures = Path("figures"),
    quiet: Quiet = False,
) -> None:
    """Copy histories, run cards, tables, claims and pictures of a scale to be committed.

    They go to RESULTS/published/SCALE and FIGURES/published/SCALE, each replaced as a whole.
    """
    from wiregrad.analysis.report import publication

    plan = load(scale, config_dir, results, methods)
    paths = publication.publish(plan, results / "published" / scale, figures / "published" / scale)
    _say(paths, quiet=quiet)
