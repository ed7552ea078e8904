"""`wiregrad figure`, `tables`, `claims`, `report` and `publish`: what is made of histories.

With `--results results/published` everything is drawn again from the published histories, without
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from wiregrad.cli.options import Papers, PlanOptions, ScaleOptions, bundled
from wiregrad.core.errors import ConfigError
from wiregrad.core.names import unknown

app = typer.Typer()
T = TypeVar("T")

Figures = Annotated[Path, typer.Option(help="Folder of the pictures: FIGURES/PAPER/FIGURE.svg.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing.")]


def _chosen(specs: Mapping[str, T], names: Iterable[str], what: str) -> dict[str, T]:
    """The entries called `names`, or all; ConfigError for an unknown name."""
    wanted = list(names) or list(specs)
    for name in wanted:
        if name not in specs:
            raise ConfigError(unknown(what, name, specs.keys()))
    return {name: specs[name] for name in wanted}


def _print_paths(paths: Iterable[Path], *, quiet: bool) -> None:
    if not quiet:
        for path in paths:
            typer.echo(str(path))


@app.command()
@bundled
def figure(
    options: PlanOptions,
    paper: Annotated[str, typer.Argument(help="A paper of config/papers/.")],
    names: Annotated[list[str], typer.Argument(help="Figures; none: all of the paper.")] = [],
    out: Annotated[
        Path, typer.Option(help="OUT/PAPER/FIGURE.{svg,png}, or one .svg for one figure.")
    ] = Path("figures"),
    quiet: Quiet = False,
) -> None:
    """Draw figures of a paper, as SVG and PNG."""
    from wiregrad.analysis.figures import catalogue, render
    from wiregrad.analysis.results import aggregate

    plan = options.load_results([paper])
    specs = _chosen(catalogue.parse(plan.papers[paper]), names, "figure")
    if out.suffix == ".svg" and len(specs) != 1:
        raise ConfigError(f"--out {out}: one file takes one figure (got {len(specs)})")
    found = aggregate.collect(plan, {(paper, e) for spec in specs.values() for e in spec.reads})
    for name, spec in specs.items():
        svg = out if out.suffix == ".svg" else out / paper / f"{name}.svg"
        _print_paths(render.write(spec, paper, found, svg), quiet=quiet)


@app.command()
@bundled
def tables(
    options: PlanOptions,
    paper: Annotated[str, typer.Argument(help="A paper of config/papers/.")],
    names: Annotated[list[str], typer.Argument(help="Tables; none: all of the paper.")] = [],
    out: Annotated[
        Path | None, typer.Option(help="OUT/PAPER/TABLE.{csv,md,tex} [RESULTS/SCALE/tables].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write tables of a paper, as CSV, Markdown and LaTeX."""
    from wiregrad.analysis.results import aggregate
    from wiregrad.analysis.tables import catalogue, render

    plan = options.load_results([paper])
    specs = _chosen(catalogue.parse(plan.papers[paper]), names, "table")
    found = aggregate.collect(plan, {(paper, e) for spec in specs.values() for e in spec.reads})
    folder = out or options.results / options.scale / "tables"
    for name, spec in specs.items():
        _print_paths(render.write(spec, name, paper, found, folder), quiet=quiet)


@app.command()
@bundled
def claims(
    options: PlanOptions,
    paper: Papers = [],
    out: Annotated[
        Path | None, typer.Option(help="OUT/claims.{csv,md,json} [RESULTS/SCALE].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Check the claims of the papers: claims.csv, claims.md, claims.json."""
    from wiregrad.analysis.claims import judge, render
    from wiregrad.analysis.results import aggregate

    plan = options.load_results(paper or None)
    verdicts = judge.judge_all(plan, aggregate.collect(plan))
    paths = render.write(verdicts, options.scale, out or options.results / options.scale)
    if not quiet:
        typer.echo(render.summary(verdicts))
    _print_paths(paths, quiet=quiet)


@app.command()
@bundled
def report(
    options: PlanOptions,
    paper: Papers = [],
    figures: Figures = Path("figures"),
    out: Annotated[
        Path | None, typer.Option(help="OUT/report.html and OUT/explorer.html [RESULTS/SCALE].")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the report and the explorer: two pages that open without a network.

    Pictures in FIGURES that are out of date, or of another scale, are drawn again.
    """
    from wiregrad.analysis.report import explorer, page
    from wiregrad.analysis.results import aggregate

    plan = options.load_results(paper or None)
    found = aggregate.collect(plan)
    folder = out or options.results / options.scale
    paths = [
        page.write(plan, found, figures, folder / "report.html"),
        explorer.write(plan, found, folder / "explorer.html"),
    ]
    _print_paths(paths, quiet=quiet)


@app.command()
@bundled
def publish(
    options: ScaleOptions,
    figures: Figures = Path("figures"),
    quiet: Quiet = False,
) -> None:
    """Copy histories, run cards, tables, claims and pictures of a scale to be committed.

    They go to RESULTS/published/SCALE and FIGURES/published/SCALE, each replaced as a whole.
    """
    from wiregrad.analysis.report import publication

    plan = options.load_results()
    paths = publication.publish(
        plan,
        options.results / "published" / options.scale,
        figures / "published" / options.scale,
    )
    _print_paths(paths, quiet=quiet)
