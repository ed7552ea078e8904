"""`wiregrad launch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def launch(
    config: Annotated[Path, typer.Argument(help="A run configuration (YAML).")],
    out: Annotated[Path, typer.Option(help="Folder for history and run card.")],
    ranks: Annotated[
        int | None,
        typer.Option("--ranks", "-n", min=1, help="Processes; by default runtime.workers."),
    ] = None,
    assign: Annotated[list[str], typer.Option("--set", help="Override: a.b=value.")] = [],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
    checkpoint: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 60.0,
) -> None:
    """Execute one run as real processes on this machine, one a worker; rank 0 is the server.

    With `runtime.name: parameter_server` this process is the server, as for `wiregrad run`.
    On several machines start `wiregrad run` with torchrun instead.
    """
    from wiregrad.core.validation import read_yaml
    from wiregrad.runs.config import RunConfig, set_keys
    from wiregrad.runs.execute import execute
    from wiregrad.runs.identity import finished
    from wiregrad.runtimes.distributed.launcher import launch as start

    mapping = set_keys(read_yaml(config), assign)
    runtime = mapping.get("runtime")
    served = isinstance(runtime, dict) and runtime.get("name") == "parameter_server"
    changes = [] if served else ["runtime.name=distributed"]
    changes += [f"runtime.workers={ranks}"] if ranks is not None else []
    changes += assign
    parsed = RunConfig.parse(set_keys(read_yaml(config), changes), str(config))
    card = finished(out, parsed)
    if card is None and served:
        card = execute(parsed, out)
    if card is not None:
        typer.echo(f"{card.outcome} after {card.steps} rounds: {out}")
        return
    arguments = ["run", str(config), "--out", str(out), "--device", device]
    arguments += ["--checkpoint", str(checkpoint)]
    for change in changes:
        arguments += ["--set", change]
    start(arguments, parsed.runtime.workers)
