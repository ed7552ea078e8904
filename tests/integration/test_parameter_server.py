"""A parameter server with worker processes: one is killed and comes back, none is forgotten."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from gate import PLUGIN, Gate
from processes import until_ended

from wiregrad import data
from wiregrad.analysis.figures.kinds.staleness import StalenessFigure
from wiregrad.analysis.results import aggregate
from wiregrad.core.errors import ConfigError, DataUnavailable, RuntimeFailure
from wiregrad.core.rng import Seeds
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.studies.groups import train
from wiregrad.studies.job import Job
from wiregrad.studies.plan import load_plan

N = 4
STEPS = 400
CONFIG: dict[str, Any] = {
    "problem": {"name": "quadratic", "dim": 9, "noise": 0.3, "lam": 0.1},
    "method": {"name": "async_ef_sgd", "lr": 0.05, "compressor": {"name": "qsgd"}},
    "runtime": {
        "name": "parameter_server",
        "workers": N,
        "compute": {"name": "exponential", "mean": 0.005, "slowdown": [1, 1, 1, 4]},
        "staleness": {"bound": 6},
    },
    "budget": {"steps": STEPS},
    "log": {"every": 20},
    "seed": 3,
}


def kill_at(done: int, worker: str, gate: Gate | None = None) -> Any:
    """Kills a worker's process once so many updates are done, and closes the gate behind it."""

    def kill(updates: int, *_: object) -> None:
        if updates == done:
            (victim,) = (p for p in multiprocessing.active_children() if p.name == worker)
            watched = psutil.Process(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)
            until_ended([watched])
            if gate is not None:
                gate.close_after(0)

    return kill


def test_a_killed_worker_comes_back_and_every_message_is_accounted_for(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")  # the others wait until worker 1 is back
    problem = {"name": "gated", "inner": CONFIG["problem"], "gate": str(gate.file), "opener": 1}
    run = RunConfig.parse(CONFIG | {"problem": problem, "plugins": [PLUGIN]})
    card = execute(run, tmp_path, progress=kill_at(150, "worker 1.0", gate))
    assert (card.outcome, card.steps) == ("completed", STEPS)
    messages = card.messages
    assert messages["applied"] == STEPS
    assert messages["sent"] == messages["applied"] + messages["rejected"]
    assert messages["rejected"] <= N
    assert (messages["joined"], messages["lost"]) == (N + 1, 1)
    table = record.read_staleness(tmp_path / record.STALENESS).to_pydict()
    assert table["update"] == list(range(1, STEPS + 1))
    assert max(table["staleness"]) <= 6
    assert set(table["worker"]) == set(range(N))
    assert table["applied"] == sorted(table["applied"])
    spans = list(zip(table["start"], table["end"], table["applied"], strict=True))
    assert all(start <= end <= applied for start, end, applied in spans)
    for worker in (0, 3):  # one that is slowed down, too; a busy machine takes longer than drawn
        took = [s[1] - s[0] for s, i in zip(spans, table["worker"], strict=True) if i == worker]
        drawn = [
            run.runtime.compute.seconds(Seeds(run.seed), worker, t) for t in range(1, len(took) + 1)
        ]
        assert all(clock >= seconds for clock, seconds in zip(took, drawn, strict=True))
    rows = record.read_history(tmp_path / record.HISTORY).to_pylist()
    assert rows[-1]["loss_train"] < rows[0]["loss_train"]
    assert rows[-1]["uplink_bits_wire"] > 0
    assert not [p for p in multiprocessing.active_children() if p.name.startswith("worker")]


def test_workers_that_move_x_are_told_all_that_they_missed(tmp_path: Path) -> None:
    """A dead worker is not started anew where none may be; the others go on."""
    method = {"name": "efficient_adam", "lr": 0.02, "compressor": {"name": "top_k", "k": 3}}
    method["server_compressor"] = {"name": "top_k", "k": 3}
    pause = {"name": "constant", "mean": 0.002}
    runtime = CONFIG["runtime"] | {"workers": 2, "restarts": 0, "compute": pause}
    changes = {"method": method, "runtime": runtime, "budget": {"steps": 200}}
    run = RunConfig.parse(CONFIG | changes)
    card = execute(run, tmp_path, progress=kill_at(80, "worker 0.0"))
    assert card.steps == 200
    assert (card.messages["joined"], card.messages["lost"]) == (2, 1)
    table = record.read_staleness(tmp_path / record.STALENESS).to_pydict()
    assert set(table["worker"][:80]) == {0, 1}
    assert set(table["worker"][90:]) == {1}
    rows = record.read_history(tmp_path / record.HISTORY).to_pylist()
    assert rows[-1]["loss_train"] < rows[0]["loss_train"]


def test_a_method_whose_server_mirrors_a_lost_worker_ends_in_one_line(tmp_path: Path) -> None:
    method = {"name": "ef21", "lr": 0.05, "compressor": {"name": "top_k", "k": 3}}
    run = RunConfig.parse(CONFIG | {"method": method})
    with pytest.raises(RuntimeFailure, match=r"worker 2 was lost: ef21 cannot go on without"):
        execute(run, tmp_path, progress=kill_at(50, "worker 2.0"))
    assert not list(tmp_path.iterdir())
    assert not [p for p in multiprocessing.active_children() if p.name.startswith("worker")]


def test_a_method_that_must_hear_everyone_starts_nothing(tmp_path: Path) -> None:
    method = {"name": "marina", "lr": 0.05, "p": 0.3, "compressor": {"name": "qsgd"}}
    with pytest.raises(ConfigError, match="marina needs the messages of all workers"):
        execute(RunConfig.parse(CONFIG | {"method": method}), tmp_path)
    assert not list(tmp_path.iterdir())
    assert not [p for p in multiprocessing.active_children() if p.name.startswith("worker")]


def test_statistics_that_stay_with_the_workers_are_refused(tmp_path: Path) -> None:
    plugin = Path(__file__).parent / "programs" / "normed.py"
    problem = {"name": "normed", "data": "mnist|mnist-5k"}
    try:
        data.load(problem["data"])
    except DataUnavailable as error:
        pytest.skip(str(error))
    run = RunConfig.parse(CONFIG | {"problem": problem, "plugins": [str(plugin)]})
    with pytest.raises(ConfigError, match=r"problem.name: normed has batch-norm"):
        execute(run, tmp_path)
    assert not list(tmp_path.iterdir())


def test_staleness_is_drawn_as_simulated_and_as_it_happened(tmp_path: Path) -> None:
    setting = CONFIG["runtime"] | {"name": "asynchronous"}
    experiment = {"title": "t", "methods": ["ours"], "lr": {"default": 0.05}, "seeds": [1]}
    experiment |= {key: CONFIG[key] for key in ("problem", "log")} | {"runtime": setting}
    names = ["asynchronous", "parameter_server"]
    experiment |= {"budget": {"steps": 120}, "grid": {"runtime.name": names}}
    paper = {"paper": "p", "title": "P", "arxiv": "1", "convention": "formula"}
    files = {
        "methods": {"ours": {"title": "Ours", "method": CONFIG["method"] | {"lr": None}}},
        "papers/p": paper | {"experiments": {"e": experiment}},
        "scales/s": {"scale": "s", "papers": {}},
    }
    for name, content in files.items():
        path = tmp_path / "config" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    plan = load_plan("s", tmp_path / "config", results=tmp_path / "results")
    train(plan.groups[0], Job(say=lambda _: None))
    spec = StalenessFigure(title="t", caption="c", experiment="e", panels="runtime.staleness.bound")
    figure, notes = spec.draw(aggregate.collect(plan))
    (axis,) = figure.axes
    assert axis.get_title() == "bound: 6"
    shares = [np.asarray(line.get_ydata()).sum() for line in axis.lines]
    assert shares == [pytest.approx(1), pytest.approx(1)]
    titles = [text.get_text() for text in figure.legends[0].get_texts()]
    assert titles == ["Ours, simulated", "Ours, processes"]
    (told,) = notes
    numbers = [int(word) for word in re.findall(r"\d+", told)]
    bound, sent, applied, rejected, most = numbers
    assert (bound, applied, sent) == (6, 120, applied + rejected)
    assert most <= bound
