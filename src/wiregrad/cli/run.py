"""`wiregrad run` and `launch`: one run, from its configuration to its files."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wiregrad.cli.options import Assignments, Checkpoint, Device, ExecutionOptions, bundled
from wiregrad.core.errors import ConfigError
from wiregrad.runs import startup

if TYPE_CHECKING:
    from wiregrad.runs.config import RunConfig
    from wiregrad.runs.record import RunCard

app = typer.Typer()


@app.command()
@bundled
def run(
    execution: ExecutionOptions,
    config: Annotated[Path | None, typer.Argument(help="A run configuration (YAML).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for history and run card.")] = None,
    assign: Assignments = [],
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema.")] = False,
) -> None:
    """Execute one run; write OUT/history.parquet, OUT/timing.parquet and OUT/run.json."""
    startup.load_suite()
    from wiregrad.core.validation import read_yaml, set_keys
    from wiregrad.runs import config as configs

    if schema:
        typer.echo(json.dumps(configs.json_schema(), indent=2))
        return
    if config is None or out is None:
        raise ConfigError("wiregrad run: CONFIG and --out are required (or --schema)")
    mapping = set_keys(read_yaml(config), assign)
    parsed = configs.RunConfig.parse(mapping, str(config))
    card = _execute(parsed, out, str(config), execution)
    if card is not None:
        _tell(card, out)


@app.command()
def launch(
    config: Annotated[Path, typer.Argument(help="A run configuration (YAML).")],
    out: Annotated[Path, typer.Option(help="Folder for history and run card.")],
    ranks: Annotated[
        int | None,
        typer.Option("--ranks", "-n", min=1, help="Processes; by default runtime.workers."),
    ] = None,
    assign: Assignments = [],
    device: Device = "auto",
    checkpoint: Checkpoint = 60.0,
) -> None:
    """Execute one run as real processes on this machine, one per worker; rank 0 is the server.

    With `runtime.name: parameter_server` this process is the server, as for `wiregrad run`.
    On several machines start `wiregrad run` with torchrun instead.
    """
    from wiregrad.core.validation import read_yaml, set_keys
    from wiregrad.runs.config import RunConfig
    from wiregrad.runs.execute import execute
    from wiregrad.runs.identity import finished
    from wiregrad.runtimes.distributed.launcher import launch as launch_ranks

    runtime = set_keys(read_yaml(config), assign).get("runtime")
    served = isinstance(runtime, dict) and runtime.get("name") == "parameter_server"
    changes = [] if served else ["runtime.name=distributed"]
    changes += [f"runtime.workers={ranks}"] if ranks is not None else []
    changes += assign
    parsed = RunConfig.parse(set_keys(read_yaml(config), changes), str(config))
    card = finished(out, parsed)
    if card is None and served:
        card = execute(parsed, out)
    if card is not None:
        _tell(card, out)
        return
    arguments = ["run", str(config), "--out", str(out), "--device", device]
    arguments += ["--checkpoint", str(checkpoint)]
    for change in changes:
        arguments += ["--set", change]
    launch_ranks(arguments, parsed.runtime.workers)


def _execute(
    config: RunConfig, out: Path, title: str, execution: ExecutionOptions
) -> RunCard | None:
    """Execute a run below a progress bar; None on ranks other than 0."""
    from wiregrad.cli.progress import bar
    from wiregrad.runs.execute import execute
    from wiregrad.runs.pool.pool import Pool, parse_size
    from wiregrad.runtimes.settings import Processes

    size = parse_size(execution.processes)
    ranks = config.runtime.processes is Processes.RANKS
    if ranks and size > 1:
        raise ConfigError(
            "--processes: the distributed runtime has one process per worker (wiregrad launch -n)"
        )
    draws = not ranks or os.environ.get("RANK") == "0"
    with bar(title) if draws else nullcontext() as progress, Pool(size) as pool:
        return execute(
            config,
            out,
            device=execution.device,
            checkpoint_seconds=execution.checkpoint,
            progress=progress,
            pool=pool,
        )


def _tell(card: RunCard, out: Path) -> None:
    typer.echo(f"{card.outcome} after {card.steps} rounds: {out}")
