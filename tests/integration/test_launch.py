"""`wiregrad launch`, torchrun and bare processes: the same history, and what a lost rank does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from gate import PLUGIN, Gate
from processes import below, ended, environment, kill_tree, reserved_port, until_ended
from threads import torch_threads
from typer.testing import CliRunner
from waiting import PATIENCE, until

from wiregrad.cli import run as cli
from wiregrad.core.errors import ConfigError
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runtimes.distributed import ranks

N = 3
CONFIG: dict[str, Any] = {
    "problem": {"name": "generated_least_squares"},
    "method": {"name": "comp_ams", "lr": 0.01, "compressor": {"name": "qsgd"}},
    "runtime": {"name": "distributed", "workers": N},
    "budget": {"steps": 150},
    "log": {"every": 10},
    "seed": 3,
    "plugins": [str(Path(__file__).parent / "programs" / "lockstep.py"), PLUGIN],
}
WIREGRAD = [sys.executable, "-m", "wiregrad"]
PASSED = 40
"""Rounds before a gate."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that is closed after some rounds."""
    made = Gate(tmp_path / "gate")
    made.close_after(PASSED)
    return made


def gated(gate: Gate, rank: int) -> list[str]:
    """Options with which this rank waits at the gate, and the others for its message."""
    inner = "problem={name: gated, inner: {name: generated_least_squares}, "
    return ["--set", f"{inner}gate: {gate.file}, held: {rank}}}", "--checkpoint", "0"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of the simulation's history."""
    out = tmp_path_factory.mktemp("simulated")
    with torch_threads(1):
        execute(RunConfig.parse(CONFIG | {"runtime": {"workers": N}}), out, device="cpu")
    return (out / record.HISTORY).read_bytes()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command; whatever still runs of it after the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(command: list[str], **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        kill_tree(process)


def rank_processes(launcher: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    found = {environment(each).get("RANK"): each for each in below(launcher.pid, "wiregrad")}
    return {int(rank): process for rank, process in found.items() if rank is not None}


def test_killed_rank_ends_the_run_which_then_resumes(
    start: Start, config: Path, tmp_path: Path, simulated: bytes, gate: Gate
) -> None:
    out = tmp_path / "out"
    command = [*WIREGRAD, "launch", str(config), "--out", str(out), *gated(gate, rank=2)]
    launcher = start(command)
    until(gate.reached, launcher)
    processes = rank_processes(launcher)
    assert sorted(processes) == list(range(N))
    processes[2].send_signal(signal.SIGKILL)
    _, complaint = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 2
    assert complaint == "error: rank 2 was killed by SIGKILL; the other ranks were ended\n"
    assert all(map(ended, processes.values()))
    assert {path.suffix for path in out.iterdir()} == {".pt"}
    gate.open()
    finished = start(command)
    _, complaint = finished.communicate(timeout=PATIENCE)
    assert (finished.returncode, complaint) == (0, "")
    assert (out / record.HISTORY).read_bytes() == simulated
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [record.HISTORY, record.TIMING, record.CARD]
    )
    assert record.read_card(out / record.CARD).steps == CONFIG["budget"]["steps"]


def test_torchrun_leaves_the_same_history(
    start: Start, config: Path, tmp_path: Path, simulated: bytes
) -> None:
    out = tmp_path / "out"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += [f"--nproc-per-node={N}", f"--log-dir={tmp_path / 'log'}", "-m", "wiregrad"]
    replicated = ["--set", "runtime.server=replicated"]
    run = start([*torchrun, "run", str(config), "--out", str(out), *replicated])
    _, complaint = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, complaint
    found = record.read_history(out / record.HISTORY).to_pydict()
    (tmp_path / "simulated.parquet").write_bytes(simulated)
    expected = record.read_history(tmp_path / "simulated.parquet").to_pydict()
    for column in ("downlink_bits_wire", "downlink_bits_paper"):
        assert set(found.pop(column)) == {0}
        assert max(expected.pop(column)) > 0
    assert repr(found) == repr(expected)  # NaN equals NaN


def test_ranks_end_with_their_launcher(
    start: Start, config: Path, tmp_path: Path, gate: Gate
) -> None:
    out = ["--out", str(tmp_path / "out")]
    launcher = start([*WIREGRAD, "launch", str(config), *out, "-n", "2", *gated(gate, rank=1)])
    until(gate.reached, launcher)
    processes = rank_processes(launcher)
    assert sorted(processes) == [0, 1]
    launcher.kill()
    until_ended(processes.values())


# A stopped rank is noticed when the time is up that peers are given; they must meet within it too.
@pytest.mark.parametrize(
    ("blow", "peer_timeout"), [(signal.SIGKILL, PATIENCE), (signal.SIGSTOP, 40)]
)
def test_without_a_launcher_the_peer_names_the_lost_rank(
    start: Start,
    config: Path,
    tmp_path: Path,
    gate: Gate,
    blow: signal.Signals,
    peer_timeout: float,
) -> None:
    out = tmp_path / "out"
    two = ["--set", "runtime.workers=2", *gated(gate, rank=1)]
    command = [*WIREGRAD, "run", str(config), "--out", str(out), *two]
    with reserved_port() as port:
        env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        env |= {"GLOO_SOCKET_IFNAME": "lo", "WIREGRAD_PEER_TIMEOUT": str(peer_timeout)}
        lead, other = (start(command, RANK=str(rank), **env) for rank in range(2))
        until(gate.reached, other)
        other.send_signal(blow)
        _, complaint = lead.communicate(timeout=PATIENCE)
    assert lead.returncode == 2
    assert complaint.startswith("error: rank 0 lost rank 1 in round "), complaint
    assert complaint.count("\n") == 1
    assert {path.suffix for path in out.iterdir()} == {".pt"}


def test_bad_config_is_one_line_and_starts_nothing(config: Path, tmp_path: Path) -> None:
    arguments = [
        "launch",
        str(config),
        "--out",
        str(tmp_path / "out"),
        "--set",
        "runtime.server=rank1",
    ]
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        f"{config}: runtime.server: Input should be 'rank0' or 'replicated' (got 'rank1')"
    )
    assert not (tmp_path / "out").exists()


def test_distributed_needs_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(
        ConfigError,
        match=r"runtime\.name: .*`wiregrad launch -n 4 CONFIG` or torchrun.*name: simulated",
    ):
        ranks.World.from_environment(4)


def test_number_of_processes_must_be_that_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ConfigError, match=r"runtime\.workers: 4, allowed: 8, the processes"):
        ranks.World.from_environment(4)


@pytest.mark.parametrize("given", ["0", "-1", "soon", "inf", "nan"])
def test_bad_peer_timeout_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("WIREGRAD_PEER_TIMEOUT", given)
    with pytest.raises(ConfigError, match=f"WIREGRAD_PEER_TIMEOUT: '{given}'"):
        ranks.peer_timeout()
