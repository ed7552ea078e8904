"""`wiregrad plan`, `cost`, `preflight`, `train`, `tune`, `sweep`: what config/ asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wiregrad.cli.options import (
    Device,
    ExecutionOptions,
    GroupOptions,
    Papers,
    PlanOptions,
    Scale,
    bundled,
)
from wiregrad.runs import startup

if TYPE_CHECKING:
    from wiregrad.studies.cost import Cost
    from wiregrad.studies.job import Job
    from wiregrad.studies.plan import Group

app = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class PaperScale(PlanOptions):
    """The same options, with the scale of the papers as the default."""

    scale: Scale = "paper"


Experiments = Annotated[list[str], typer.Option("--experiment", help="Only these experiments.")]


@app.command()
@bundled
def plan(options: PlanOptions, paper: Papers = []) -> None:
    """List the groups of runs that a scale asks for: runs, tuning trials, or why it is skipped."""
    for group in options.load(paper or None).groups:
        parts = [_counted(len(group.runs), "run")]
        parts += [_trials(group)] if group.tuning else []
        parts += ["a sweep"] if group.sweep else []
        what = f"skipped: {group.skip}" if group.skip else ", ".join(parts)
        typer.echo(f"{group.paper}/{group.experiment}/{group.label}: {what}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _trials(group: Group) -> str:
    """The trials of a group's tuning in words."""
    first, most = len(group.grid_trials), group.most_trials
    return _counted(first, "tuning trial") if first == most else f"{first} to {most} tuning trials"


@app.command()
@bundled
def cost(
    options: PlanOptions,
    papers: Annotated[list[str], typer.Argument(help="Only these papers.")] = [],
) -> None:
    """Estimate rounds and core-hours of what a scale asks for, by paper and experiment.

    Trials and hours are those where every first grid holds the best point, and those at the caps.
    The time of a round is that of run cards below the results, and else of a table.
    """
    from itertools import groupby

    from wiregrad.studies.cost import costs, in_all

    folders = [options.results / options.scale, options.results / "published" / options.scale]
    found = costs(options.load(papers or None), folders)
    row = "{:17} {:22} {:>6} {:>11} {:>15} {:>15}  {}"
    head = ("paper", "experiment", "runs", "rounds", "trials", "core-hours", "time of a round")
    typer.echo(row.format(*head))
    for paper, parts in groupby(found, lambda part: part.paper):
        every = list(parts)
        for part in [*every, in_all(every, paper)]:
            typer.echo(row.format(*_cells(part)))
    typer.echo(row.format(*_cells(in_all(found, "all"))))


def _cells(cost: Cost) -> tuple[object, ...]:
    """A line of the table of costs."""
    trials = _span(str(cost.trials), str(cost.most_trials)) if cost.most_trials else ""
    hours = _span(f"{cost.hours:.2f}", f"{cost.most_hours:.2f}")
    name = cost.experiment or "in all"
    by = " + ".join(sorted(cost.sources))
    return cost.paper, name, cost.runs, f"{cost.amount.rounds:,.0f}", trials, hours, by


def _span(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"


@app.command()
@bundled
def preflight(
    options: PaperScale,
    paper: Papers = [],
    experiment: Experiments = [],
    device: Device = "cpu",
    jobs: Annotated[int, typer.Option(min=1, help="Processes that check side by side.")] = 1,
) -> None:
    """Run two rounds of every job shape of a scale, to prove that it would run."""
    startup.load_suite()
    from collections import Counter

    from wiregrad.studies.preflight import ShapeState, checks

    planned = options.load(paper or None)
    states: Counter[ShapeState] = Counter()
    for result in checks(planned, experiment, device, jobs):
        states[result.state] += 1
        size = [f"d = {result.dim}, {result.seconds:.1f} s"] if result.dim else []
        about = ", ".join([*size, *filter(None, [result.detail])])
        typer.echo(f"{result.state:9}{result.shape}  {about}")
    typer.echo(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    if states[ShapeState.DIVERGED]:
        raise typer.Exit(1)


@app.command()
@bundled
def train(
    options: GroupOptions,
    execution: ExecutionOptions,
    data_report: Annotated[
        Path | None,
        typer.Option(help="A report of `wiregrad data fetch`: without the data nothing is run."),
    ] = None,
) -> None:
    """Tune (or sweep) one label in one experiment, then train its runs; finished runs are kept."""
    from wiregrad.studies import files

    group = options.group()
    report = None if data_report is None else files.read_data_report(data_report)
    if report is not None and report.reason is not None:  # no need to load torch
        why = files.NotRun(kind=files.NotRunKind.NO_DATA, detail=report.reason)
        files.write(group.manifest, files.Manifest(**group.labels, not_run=why))
        typer.echo(f"{group.experiment}/{group.label}: not run: {why.text}")
        return
    with _job(execution) as job:
        from wiregrad.studies.groups import train as train_group

        train_group(group, job)


@app.command()
@bundled
def tune(options: GroupOptions, execution: ExecutionOptions) -> None:
    """Search one label's learning rate on the validation split, as `train` does first."""
    with _job(execution) as job:
        from wiregrad.studies.tuning import tune as tune_group

        result = tune_group(options.group(), job)
    settled = "settled" if result.settled else "not settled"
    best = f"best learning rate {result.best} by {result.metric}"
    typer.echo(f"{options.label}: {best}, {settled} after {result.trials} trials")


@app.command()
@bundled
def sweep(options: GroupOptions, device: Device = "cpu") -> None:
    """Run the whole grid of one label's steps, k and zeta as batches; choose the best point.

    Writes sweep.parquet, one row per run, and sweep.json; an interrupted sweep resumes with its
    next batch. `wiregrad train` does this first.
    """
    startup.load_suite()
    from wiregrad.studies.sweep.group import sweep_group

    best = sweep_group(options.group(), device, typer.echo).best
    if best is not None:
        point = ", ".join(f"{name} = {value:g}" for name, value in best if value is not None)
        typer.echo(f"{options.label}: best: {point}")


@contextmanager
def _job(execution: ExecutionOptions) -> Iterator[Job]:
    """Claim a GPU where there is one, load the suite, and start the pool."""
    from wiregrad.runs import gpu

    gpu.claim(execution.device)
    startup.load_suite()
    from wiregrad.runs.pool.pool import Pool, parse_size
    from wiregrad.studies.job import Job

    with Pool(parse_size(execution.processes)) as pool:
        yield Job(execution.device, execution.checkpoint, typer.echo, pool)
