"""`wiregrad sweep`."""

from __future__ import annotations

from pathlib import Path

import typer

from wiregrad.cli.train import (
    ConfigDir,
    Device,
    ExperimentName,
    Label,
    Methods,
    PaperName,
    Results,
    Scale,
    load,
)
from wiregrad.runs import startup

app = typer.Typer()


@app.command()
def sweep(
    scale: Scale,
    paper: PaperName,
    experiment: ExperimentName,
    label: Label,
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    device: Device = "cpu",
) -> None:
    """Run the whole grid of one label's steps, k and zeta as batches; choose the best point.

    Leaves sweep.parquet, a row a run, and sweep.json; an interrupted sweep goes on where it was.
    `wiregrad train` does this first by itself.
    """
    startup.begin()
    from wiregrad.studies.sweep.group import sweep_group

    plan = load(scale, config_dir, results, methods, [paper])
    result = sweep_group(plan.group(paper, experiment, label), device, typer.echo)
    best = result["best"]
    if best is not None:
        point = ", ".join(
            f"{name} = {value:g}" for name, value in best.items() if value is not None
        )
        typer.echo(f"{label}: best: {point}")
