"""`wiregrad run`, `train`, `tune`, `plan` and `preflight`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wiregrad.core.errors import ConfigError
from wiregrad.runs import startup

if TYPE_CHECKING:
    from wiregrad.runs.config import RunConfig
    from wiregrad.runs.record import RunCard
    from wiregrad.studies.groups import Job
    from wiregrad.studies.plan import Plan

app = typer.Typer()

Scale = Annotated[str, typer.Option(help="smoke, cpu or paper: a file of config/scales/.")]
PaperName = Annotated[str, typer.Option(help="A file of config/papers/.")]
ExperimentName = Annotated[str, typer.Option(help="An experiment of the paper.")]
Label = Annotated[str, typer.Option(help="A label of config/methods.yaml.")]
ConfigDir = Annotated[Path, typer.Option(help="Folder of methods.yaml, papers/ and scales/.")]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
Methods = Annotated[
    list[Path], typer.Option(help="Further files of labels, in the form of methods.yaml.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Checkpoint = Annotated[float, typer.Option(help="Seconds between checkpoints.")]
Processes = Annotated[
    str,
    typer.Option(help="Processes of one thread that share the gradients; auto: one a core."),
]


def load(
    scale: str,
    config_dir: Path,
    results: Path,
    methods: list[Path],
    papers: list[str] | None = None,
) -> Plan:
    """The plan that the common options describe."""
    from wiregrad.core.validation import read_yaml
    from wiregrad.studies.plan import load_plan

    extra: dict[str, Any] = {}
    for path in methods:
        extra |= read_yaml(path)
    return load_plan(scale, config_dir, papers, results, extra)


@app.command()
def run(
    config: Annotated[Path | None, typer.Argument(help="A run configuration (YAML).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for history and run card.")] = None,
    assign: Annotated[list[str], typer.Option("--set", help="Override: a.b=value.")] = [],
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema.")] = False,
    device: Device = "auto",
    checkpoint: Checkpoint = 60.0,
    processes: Processes = "1",
) -> None:
    """Execute one run: leaves OUT/history.parquet, OUT/timing.parquet and OUT/run.json."""
    startup.begin()
    from wiregrad.runs import config as configs

    if schema:
        typer.echo(json.dumps(configs.json_schema(), indent=2))
        return
    if config is None or out is None:
        raise ConfigError("wiregrad run: CONFIG and --out are required (or --schema)")
    from wiregrad.core.validation import read_yaml

    mapping = configs.set_keys(read_yaml(config), assign)
    parsed = configs.RunConfig.parse(mapping, str(config))
    card = _execute(parsed, out, str(config), device, checkpoint, processes)
    if card is not None:
        typer.echo(f"{card.outcome} after {card.steps} rounds: {out}")


def _execute(
    config: RunConfig, out: Path, title: str, device: str, checkpoint: float, processes: str
) -> RunCard | None:
    from wiregrad.cli.progress import bar
    from wiregrad.runs.execute import execute
    from wiregrad.runs.pool.pool import Pool, parse_size
    from wiregrad.runtimes.settings import Processes

    size = parse_size(processes)
    ranks = config.runtime.processes is Processes.RANKS
    if ranks and size > 1:
        raise ConfigError(
            "--processes: the distributed runtime has one process per worker (wiregrad launch -n)"
        )
    draws = not ranks or os.environ.get("RANK") == "0"
    with bar(title) if draws else nullcontext() as progress, Pool(size) as pool:
        return execute(
            config, out, device=device, checkpoint_seconds=checkpoint, progress=progress, pool=pool
        )


@app.command()
def train(
    scale: Scale,
    paper: PaperName,
    experiment: ExperimentName,
    label: Label,
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    device: Device = "auto",
    checkpoint: Checkpoint = 60.0,
    processes: Processes = "1",
    data_report: Annotated[
        Path | None,
        typer.Option(help="A report of `wiregrad data fetch`: without the data nothing is run."),
    ] = None,
) -> None:
    """Tune (or sweep) one label in one experiment, then train its runs; finished runs are kept."""
    from wiregrad.studies.manifest import NO_DATA, manifest, unavailable

    group = load(scale, config_dir, results, methods, [paper]).group(paper, experiment, label)
    why = unavailable(data_report) if data_report is not None else None
    if why is not None:  # told before torch is loaded
        manifest(group, [], f"{NO_DATA}{why}")
        typer.echo(f"{experiment}/{label}: not run: {NO_DATA}{why}")
        return
    with _job(device, checkpoint, processes) as job:
        from wiregrad.studies.groups import train as train_group

        train_group(group, job)


@app.command()
def tune(
    scale: Scale,
    paper: PaperName,
    experiment: ExperimentName,
    label: Label,
    config_dir: ConfigDir = Path("config"),
    results: Results = Path("results"),
    methods: Methods = [],
    device: Device = "auto",
    checkpoint: Checkpoint = 60.0,
    processes: Processes = "1",
) -> None:
    """Choose one label's learning rate on the validation split, as `train` does first by itself."""
    with _job(device, checkpoint, processes) as job:
        from wiregrad.studies.groups import tune as tune_group

        plan = load(scale, config_dir, results, methods, [paper])
        result = tune_group(plan.group(paper, experiment, label), job)
    typer.echo(f"{label}: best learning rate {result['best']} by {result['metric']}")


@app.command()
def preflight(
    scale: Scale = "paper",
    paper: Annotated[list[str], typer.Option(help="Only these papers.")] = [],
    experiment: Annotated[list[str], typer.Option(help="Only these experiments.")] = [],
    config_dir: ConfigDir = Path("config"),
    methods: Methods = [],
    device: Device = "cpu",
    jobs: Annotated[int, typer.Option(min=1, help="Processes that check side by side.")] = 1,
) -> None:
    """Run two rounds of every job shape of a scale, to prove that it would run."""
    startup.begin()
    from collections import Counter

    from wiregrad.studies.preflight import checks

    plan = load(scale, config_dir, Path("results"), methods, paper or None)
    states: Counter[str] = Counter()
    for result in checks(plan, experiment, device, jobs):
        states[result.state] += 1
        size = [f"d = {result.dim}, {result.seconds:.1f} s"] if result.dim else []
        about = ", ".join([*size, *filter(None, [result.detail])])
        typer.echo(f"{result.state:9}{result.shape}  {about}")
    typer.echo(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    if states["diverged"]:
        raise typer.Exit(1)


@contextmanager
def _job(device: str, checkpoint: float, processes: str) -> Iterator[Job]:
    from wiregrad.runs import gpu

    gpu.claim(device)
    startup.begin()
    from wiregrad.runs.pool.pool import Pool, parse_size
    from wiregrad.studies.groups import Job

    with Pool(parse_size(processes)) as pool:
        yield Job(device, checkpoint, typer.echo, pool)
