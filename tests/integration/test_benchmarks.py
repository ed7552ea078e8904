"""The benchmarks run: one row at a tiny size, its table, report and chart. No timing is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pytest_benchmarks(*arguments):
    # pytest-benchmark measures nothing in a process that looks like a worker of pytest-xdist.
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "benchmarks", "--quick", "-q", "--benchmark-quiet"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=outside | {"OMP_NUM_THREADS": "1"},
    )


def test_rows_are_measured_marked_and_reported(tmp_path):
    chosen = "scaled and feedback or test_peer and packbits"
    done = pytest_benchmarks("-k", chosen, "--report", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "rows.json").read_text())
    goal, peer = found["rows"]
    assert (goal["what"], goal["unit"], goal["goal"]["minimum"]) == ("scaled sign", "%", 0.6)
    assert goal["mark"] in {"stretch", "pass", "MISSED"}
    assert (peer["group"], peer["mark"], peer["goal"]) == ("Peers", "", None)
    assert min(goal["value"], peer["value"]) > 0
    report = (tmp_path / "report.md").read_text()
    for text in ("| scaled sign | speed of e += g |", "cores", found["about"]["revision"]):
        assert text in report
    assert "NumPy packbits" in done.stdout
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<?xml")
    assert (tmp_path / "benchmarks.png").read_bytes().startswith(b"\x89PNG")


def test_every_benchmark_is_collected():
    done = pytest_benchmarks("--collect-only")
    assert done.returncode == 0, done.stdout + done.stderr
    for file in (ROOT / "benchmarks").glob("test_*.py"):
        assert f"benchmarks/{file.name}::" in done.stdout


def test_marks_follow_the_direction_of_a_goal(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from ratios import Goal, Row

    speed, memory = Goal(1.5, 2.0), Goal(1.0, 0.5, at_most=True)
    assert [speed.mark(v) for v in (1.4, 1.5, 2.0)] == ["MISSED", "pass", "stretch"]
    assert [memory.mark(v) for v in (1.1, 1.0, 0.5)] == ["MISSED", "pass", "stretch"]
    row = Row("Sweeps", "a", "b", 0.25, "×", "", memory)
    assert (row.bound(0.5), row.text(0.25), row.mark) == ("≤ 0.5×", "0.25×", "stretch")
    assert Goal(1.0).mark(5.0) == "pass"
