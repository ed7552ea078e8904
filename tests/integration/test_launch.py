"""`wiregrad launch`, torchrun and bare processes: the same history, and what a lost rank does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from typer.testing import CliRunner

from wiregrad.cli import launch as cli
from wiregrad.core.errors import ConfigError
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runtimes.distributed import ranks

pytestmark = pytest.mark.timeout(600)  # on a busy machine processes import torch for long

N = 3
PLUGIN = Path(__file__).parent / "programs" / "lockstep.py"
CONFIG: dict[str, Any] = {
    "problem": {"name": "generated_least_squares", "pause": 0.01},
    "method": {"name": "comp_ams", "lr": 0.01, "compressor": {"name": "qsgd"}},
    "runtime": {"name": "distributed", "workers": N},
    "budget": {"steps": 150},
    "log": {"every": 10},
    "seed": 3,
    "plugins": [str(PLUGIN)],
}
WIREGRAD = [sys.executable, "-m", "wiregrad"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of the simulation's history."""
    out = tmp_path_factory.mktemp("simulated")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    changed = CONFIG | {"problem": {"name": "generated_least_squares"}}
    execute(RunConfig.parse(changed | {"runtime": {"workers": N}}), out, device="cpu")
    torch.set_num_threads(threads)
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
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()


def until(condition: Callable[[], bool], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def all_ranks_saved(out: Path, n: int) -> bool:
    return all(list(out.glob(f"checkpoint.rank{rank}.step*.pt")) for rank in range(n))


def rank_processes(launcher: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    children = psutil.Process(launcher.pid).children()
    return {int(child.environ()["RANK"]): child for child in children}


def test_killed_rank_ends_the_run_which_then_resumes(
    start: Start, config: Path, tmp_path: Path, simulated: bytes
) -> None:
    out = tmp_path / "out"
    command = [*WIREGRAD, "launch", str(config), "--out", str(out), "--checkpoint", "0.2"]
    launcher = start(command)
    until(lambda: all_ranks_saved(out, N))
    processes = rank_processes(launcher)
    assert sorted(processes) == list(range(N))
    processes[2].send_signal(signal.SIGKILL)
    _, complaint = launcher.communicate(timeout=60)
    assert launcher.returncode == 2
    assert complaint == "error: rank 2 was killed by SIGKILL; the other ranks were ended\n"
    assert not any(process.is_running() for process in processes.values())
    assert {path.suffix for path in out.iterdir()} == {".pt"}
    finished = start(command)
    _, complaint = finished.communicate(timeout=200)
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
    _, complaint = run.communicate(timeout=200)
    assert run.returncode == 0, complaint
    found = record.read_history(out / record.HISTORY).to_pydict()
    (tmp_path / "simulated.parquet").write_bytes(simulated)
    expected = record.read_history(tmp_path / "simulated.parquet").to_pydict()
    for column in ("downlink_bits_wire", "downlink_bits_paper"):
        assert set(found.pop(column)) == {0}
        assert max(expected.pop(column)) > 0
    assert repr(found) == repr(expected)  # NaN equals NaN


def test_ranks_end_with_their_launcher(start: Start, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = ["-n", "2", "--set", "budget.steps=100000", "--checkpoint", "0.2"]
    launcher = start([*WIREGRAD, "launch", str(config), "--out", str(out), *long])
    until(lambda: all_ranks_saved(out, 2))
    processes = rank_processes(launcher)
    launcher.kill()
    _, alive = psutil.wait_procs(list(processes.values()), timeout=30)
    assert sorted(processes) == [0, 1]
    assert alive == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_launcher_the_peer_names_the_lost_rank(
    start: Start, config: Path, tmp_path: Path, blow: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    out = tmp_path / "out"
    long = ["--set", "budget.steps=100000", "--set", "runtime.workers=2", "--checkpoint", "0.2"]
    command = [*WIREGRAD, "run", str(config), "--out", str(out), *long]
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    env |= {"GLOO_SOCKET_IFNAME": "lo", "WIREGRAD_PEER_TIMEOUT": "20"}
    lead, other = (start(command, RANK=str(rank), **env) for rank in range(2))
    until(lambda: all_ranks_saved(out, 2))
    other.send_signal(blow)
    _, complaint = lead.communicate(timeout=60)
    assert lead.returncode == 2
    assert complaint.startswith("error: rank 0 lost rank 1 in round "), complaint
    assert complaint.count("\n") == 1
    assert {path.suffix for path in out.iterdir()} == {".pt"}


def test_bad_config_is_one_line_and_starts_nothing(config: Path, tmp_path: Path) -> None:
    arguments = [str(config), "--out", str(tmp_path / "out"), "--set", "runtime.server=rank1"]
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        f"{config}: runtime.server: Input should be 'rank0' or 'replicated' (got 'rank1')"
    )
    assert not (tmp_path / "out").exists()


def test_distributed_needs_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"runtime\.name: .*`wiregrad launch -n 4` or torchrun"):
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
