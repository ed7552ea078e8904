"""`make figures`: run the workflow with a progress bar, and say where its results are.

Snakemake does the work. This script removes the lock that a killed call left behind, lets the
workflow try missing data sets again, shows how many runs are done and how long the rest will take,
and prints what Snakemake says about a failure. All that Snakemake says is kept in
`<results>/<scale>/logs/`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import psutil
import yaml
from rich.console import Console

from run_progress import Tracker, shown
from wiregrad.core.errors import ConfigError, WiregradError
from wiregrad.studies.files import read_data_report, read_manifest

LOCKS = Path(".snakemake/locks")
FAILURE = re.compile(r"(Error in rule|\w*(Error|Exception)\b|Traceback|Logfile )")
NEXT_EVENT = re.compile(r"(\[\w{3} \w{3}|\d+ of \d+ steps|Removing output files|Complete log)")
POLL_SECONDS = 1.0


def main() -> int:
    """Exit status: Snakemake's; 2 where another call is at work; 130 after Ctrl-C."""
    options = _options()
    console = Console(highlight=False, soft_wrap=True)
    config = yaml.safe_load(Path("config/config.yaml").read_text(encoding="utf-8"))
    results = Path(config["results"], options.scale)
    holder = running_snakemake(Path.cwd())
    if holder is not None:
        console.print(f"error: another snakemake is at work here (process {holder}); wait for it")
        return 2
    if LOCKS.is_dir() and any(LOCKS.iterdir()):
        console.print("An earlier call was killed: removing its lock and resuming its work.")
        subprocess.run(_snakemake("--unlock", "--quiet", "all"), check=True)
    for name in forget_missing_data(results):
        console.print(f"Trying again to get data set {name}.")
    targets = ["--config", f"scale={options.scale}", "--", *options.targets]
    command = _snakemake("--cores", str(options.jobs), *targets)
    console.print(" ".join(["snakemake", *command[3:]]))
    tracker = Tracker(options.scale, config, options.jobs, options.targets)
    status = run(command, tracker, results, console)
    if status == 0:
        _say_where(console, config, results)
    elif status == 130:
        console.print("Interrupted: the same command resumes the work.")
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--scale", default="smoke", help="a file of config/scales/")
    parser.add_argument("--jobs", type=int, default=2, help="jobs side by side")
    parser.add_argument("targets", nargs="*", default=["all"], help="targets of the Snakefile")
    return parser.parse_args()


def _snakemake(*arguments: str) -> list[str]:
    files = {"--snakefile": "Snakefile", "--workflow-profile": "workflow/profiles/default"}
    options = [word for option, file in files.items() for word in (option, _relative(file))]
    return [sys.executable, "-m", "snakemake", *options, *arguments]


def _relative(file: str) -> str:
    """A file of the suite, seen from the working directory."""
    return os.path.relpath(Path(__file__).parents[2] / file)


def running_snakemake(folder: Path) -> int | None:
    """Process id of a live Snakemake whose working directory is `folder`, or None."""
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        here = process.info["cwd"] and Path(process.info["cwd"]) == folder
        if here and any(Path(word).name == "snakemake" for word in words[:4]):
            return int(process.info["pid"])
    return None


def forget_missing_data(results: Path) -> Iterator[str]:
    """Remove the reports of data sets that were not available, so that they are tried again."""
    for report in sorted(results.glob("data/*.json")):
        try:
            available = read_data_report(report).available
        except ConfigError:
            available = False
        if not available:
            report.unlink()
            yield report.stem


def run(command: Sequence[str], tracker: Tracker, results: Path, console: Console) -> int:
    """Run Snakemake beside the progress display. Ctrl-C reaches Snakemake, which ends its jobs."""
    log = results / "logs" / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    interrupted = threading.Event()
    previous = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        with (
            log.open("w", encoding="utf-8") as kept,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process,
            shown(tracker, console) as refresh,
        ):
            assert process.stdout is not None
            reader = threading.Thread(
                target=_pass_on, args=(process.stdout, kept, console), daemon=True
            )
            reader.start()
            while process.poll() is None:
                refresh()
                time.sleep(POLL_SECONDS)
            reader.join()
            refresh()
    finally:
        signal.signal(signal.SIGINT, previous)
    if process.returncode != 0 and not interrupted.is_set():
        console.print(f"Snakemake failed; all it said is in {log}.")
    return 130 if interrupted.is_set() else process.returncode


def _pass_on(lines: IO[str], kept: IO[str], console: Console) -> None:
    """Keep all of Snakemake's lines; print those that tell of a failure."""
    loud = False
    for line in lines:
        kept.write(line)
        kept.flush()
        loud = bool(FAILURE.match(line)) or (loud and not NEXT_EVENT.match(line))
        if loud:
            console.print(line.rstrip("\n"), markup=False)


def _say_where(console: Console, config: dict[str, str], results: Path) -> None:
    for experiment, reason in _not_run(results).items():
        console.print(f"Not run: {experiment}: {reason}", markup=False)
    console.print(f"Report:  {results / 'report.html'}")
    console.print(f"Figures: {config['figures']}/")
    console.print(f"Claims:  {results / 'claims.md'}{_counted(results / 'claims.json')}")


def _not_run(results: Path) -> dict[str, str]:
    """Experiments of which a group was not run, with the reason."""
    manifests = (read_manifest(file) for file in results.glob("*/*/*/group.json"))
    return {
        f"{found.paper}/{found.experiment}": found.not_run.text
        for found in manifests
        if found.not_run is not None
    }


def _counted(claims: Path) -> str:
    """The verdicts, counted; nothing where the targets asked for no claims."""
    if not claims.exists():
        return ""
    return f" ({json.loads(claims.read_text(encoding='utf-8'))['summary']})"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WiregradError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
