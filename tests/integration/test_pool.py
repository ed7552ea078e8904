"""A pool of processes: the same bytes whatever its size, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from gate import PLUGIN, Gate
from processes import below, kill_tree, until_ended
from waiting import PATIENCE, until

from wiregrad import data
from wiregrad.core.errors import ConfigError, DataUnavailable, RuntimeFailure
from wiregrad.core.rng import Seeds
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.pool.pool import Pool, parse_size
from wiregrad.runs.pool.shared import assign_portions
from wiregrad.runs.record import HISTORY

DRIVER = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from wiregrad.cli import main
main()
"""
CPU = torch.device("cpu")
SMALL = {"train_limit": 128, "eval_train": 64, "eval_test": 600}
MNIST = {"data": "mnist|mnist-5k", "batch": 4}
NORMED = str(Path(__file__).parent / "programs" / "normed.py")
PROBLEMS = {
    "mnist_cnn": MNIST,
    "imdb_lstm": {"data": "imdb|imdb-train", "batch": 2, "eval_test": 300},
    # a plugin with batch-norm: evaluated are the statistics of worker 0, or those of all
    "normed": MNIST,
    "averaged": MNIST | {"name": "normed", "statistics": "averaged"},
}


def run_of(name, **changes):
    settings = PROBLEMS[name]
    try:
        data.load(settings["data"])
    except DataUnavailable as error:
        pytest.skip(str(error))
    return {
        "problem": {"name": name} | SMALL | settings,
        "method": {"name": "comp_ams", "lr": 0.01, "compressor": {"name": "top_k", "ratio": 0.1}},
        "runtime": {"workers": 8},
        "budget": {"steps": 4},
        "log": {"every": 2},
        "seed": 3,
        "plugins": [NORMED] if name in {"normed", "averaged"} else [],
    } | changes


def parsed(name, **changes):
    return RunConfig.parse(run_of(name, **changes))


@pytest.fixture(scope="module")
def pools():
    """One pool of each size for all of the runs: it is used again and again."""
    with contextlib.ExitStack() as stack:
        yield {size: stack.enter_context(Pool(size)) for size in (1, 2, 3)}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_history_has_the_same_bytes_whatever_the_size_of_the_pool(name, pools, tmp_path):
    config = parsed(name)
    for size in (1, 2, 3):
        card = execute(config, tmp_path / str(size), pool=pools[size])
        assert card.outcome == "completed"
        assert len(pools[size].members) == size - 1
    alone = execute(config, tmp_path / "alone")
    bytes_ = {path.read_bytes() for path in tmp_path.glob(f"*/{HISTORY}")}
    assert len(bytes_) == 1
    assert alone.config_sha256 == card.config_sha256


class Interrupted(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("name", ["mnist_cnn", "averaged"])
def test_a_run_goes_on_from_the_checkpoint_of_a_pool_of_another_size(name, pools, tmp_path):
    def stop(done, _total, _row):
        if done == 3:
            raise Interrupted

    config = parsed(name)
    whole = execute(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        execute(config, tmp_path / "cut", pool=pools[2], checkpoint_seconds=0.0, progress=stop)
    again = execute(config, tmp_path / "cut")
    assert again.history_sha256 == whole.history_sha256


def problem_of(pool):
    config = parsed("mnist_cnn")
    built = config.problem.build(config.runtime.workers, Seeds(config.seed), CPU)
    return built, pool.share(config, built)


def test_gradients_land_in_the_shared_memory_and_elsewhere_when_asked(pools):
    alone, pooled = problem_of(pools[2])
    x = alone.x0()
    shared = pooled.gradient_buffer(8)
    pooled.gradients(x, 1, shared, range(8))
    other = torch.full_like(shared, torch.nan)
    pooled.gradients(x, 1, other, range(8))
    assert torch.equal(other, shared)
    expected = torch.empty_like(shared)
    problem_of(Pool(1))[1].gradients(x, 1, expected, range(8))
    assert torch.equal(expected, shared)
    with pytest.raises(ValueError, match="all workers at once"):
        pooled.gradients(x, 1, shared[:1], [0])


def test_a_process_that_is_killed_ends_the_run_at_once_with_one_line():
    with Pool(3) as pool:
        _, pooled = problem_of(pool)
        out, x = pooled.gradient_buffer(8), pooled.x0()
        pooled.gradients(x, 1, out, range(8))
        pool.members[1].process.kill()
        pool.members[1].process.wait()
        with pytest.raises(RuntimeFailure) as failure:  # a pool has no time-out: at once or never
            pooled.gradients(x, 2, out, range(8))
        pid = pool.members[1].process.pid
        assert str(failure.value) == (
            f"process 2 of the pool (pid {pid}) was killed by SIGKILL; the run was ended"
        )
        processes = [member.process for member in pool.members]
    assert all(process.returncode is not None for process in processes)


def test_an_error_in_a_process_is_told_in_one_line():
    with Pool(2) as pool:
        _, pooled = problem_of(pool)
        pool.send({"do": "gradients", "step": "two"})
        with pytest.raises(RuntimeFailure, match=r"process 1 of the pool .* failed: TypeError: "):
            pool.wait()
        pooled.gradients(pooled.x0(), 1, pooled.gradient_buffer(8), range(8))


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_members_end_with_the_process_that_drives_the_run(ended_by, tmp_path):
    gate = Gate(tmp_path / "gate")
    gate.close_after(2)  # the driving process waits in round 3, the member for its orders
    config = run_of("mnist_cnn")
    config["problem"] = {"name": "gated", "inner": config["problem"], "gate": str(gate.file)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config | {"plugins": [PLUGIN]}))
    arguments = ["run", "run.yaml", "--out", "out", "--processes", "2", "--checkpoint", "0"]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # as a terminal's Ctrl-C: to the whole group
    )
    try:
        until(gate.reached, driver)
        assert list((tmp_path / "out").glob("checkpoint*"))  # rounds are under way
        members = below(driver.pid, "wiregrad.runs.pool.member")
        os.killpg(driver.pid, ended_by)
        _, said = driver.communicate(timeout=PATIENCE)
    finally:
        kill_tree(driver)
    assert len(members) == 1
    until_ended(members)
    assert driver.returncode != 0
    assert "Traceback" not in said


def test_the_size_on_the_command_line(tmp_path):
    assert parse_size("auto") == len(os.sched_getaffinity(0))
    assert parse_size("4") == 4
    for wrong in ("0", "-1", "two", "1.5"):
        with pytest.raises(ConfigError, match="allowed: auto or a whole number from 1"):
            parse_size(wrong)
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(run_of("mnist_cnn", budget={"steps": 1})))
    arguments = ["run", str(config), "--out", str(tmp_path / "out"), "--processes", "2"]
    command = [sys.executable, "-m", "wiregrad", *arguments]
    subprocess.run(command, check=True, timeout=PATIENCE)
    card = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "processes" not in json.dumps(card["config"])
    distributed = [*command, "--set", "runtime.name=distributed"]
    refused = subprocess.run(
        distributed, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert refused.returncode == 2
    assert "the distributed runtime has one process per worker" in refused.stderr


def test_shares_keep_the_first_portion_with_the_driving_process_and_are_even():
    assert assign_portions(4, 1) == [[0, 1, 2, 3]]
    assert assign_portions(4, 2) == [[0, 3], [1, 2]]
    assert assign_portions(4, 3) == [[0], [1, 3], [2]]
    assert assign_portions(2, 3) == [[0], [1], []]
    assert assign_portions(5, 3) == [[0], [1, 3], [2, 4]]
    for portions in range(1, 9):
        for size in range(1, 9):
            dealt = assign_portions(portions, size)
            assert sorted(chain.from_iterable(dealt)) == list(range(portions))
            assert dealt[0][0] == 0
            assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
            assert len(dealt[0]) == min(map(len, dealt)) or portions < size


def test_problems_of_one_piece_are_left_to_one_process(pools, tmp_path):
    config = RunConfig.parse(
        {
            "problem": {"name": "quadratic"},
            "method": {"name": "dist_sgd", "lr": 0.01},
            "runtime": {"workers": 4},
            "budget": {"steps": 2},
            "seed": 0,
        }
    )
    pool = Pool(2)
    assert execute(config, tmp_path, pool=pool).outcome == "completed"
    assert pool.members == []
