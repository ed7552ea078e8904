"""An interrupted run goes on where it was and ends with the bytes of an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import yaml
from gate import PLUGIN, Gate
from processes import kill_tree
from waiting import PATIENCE, until

from wiregrad import data
from wiregrad.core.errors import DataUnavailable
from wiregrad.runs import identity, record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runs.loop import Loop

CONFIG = {
    "problem": {"name": "mnist_cnn", "data": "mnist|mnist-5k", "train_limit": 1024},
    "method": {
        "name": "comp_ams",
        "lr": 1e-3,
        "compressor": {"name": "rand_k", "ratio": 0.1},
    },
    "runtime": {"workers": 4},
    "budget": {"steps": 24},
    "log": {"every": 4},
    "seed": 3,
}
CONFIG["problem"] |= {"eval_train": 128, "eval_test": 128}


@pytest.fixture(scope="module", autouse=True)
def _mnist():
    try:
        data.load("mnist|mnist-5k")
    except DataUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    execute(RunConfig.parse(CONFIG), out)
    return (out / record.HISTORY).read_bytes()


def test_same_config_and_seed_same_bytes_and_another_seed_others(tmp_path, undisturbed):
    execute(RunConfig.parse(CONFIG), tmp_path / "same")
    execute(RunConfig.parse(CONFIG | {"seed": 4}), tmp_path / "other")
    assert (tmp_path / "same" / record.HISTORY).read_bytes() == undisturbed
    assert (tmp_path / "other" / record.HISTORY).read_bytes() != undisturbed


class Cut(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("rounds", [1, 7, 23])
def test_a_run_cut_at_any_round_goes_on_to_the_same_bytes(tmp_path, undisturbed, rounds):
    def cut(done, total, row):
        if done == rounds + 1:
            raise Cut

    with pytest.raises(Cut):
        execute(RunConfig.parse(CONFIG), tmp_path, checkpoint_seconds=0, progress=cut)
    assert not (tmp_path / record.CARD).exists()
    seen = []
    execute(RunConfig.parse(CONFIG), tmp_path, progress=lambda done, *_: seen.append(done))
    assert seen[0] == rounds + 1
    assert (tmp_path / record.HISTORY).read_bytes() == undisturbed
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        record.HISTORY,
        record.CARD,
        record.TIMING,
    ]


def test_a_killed_process_goes_on_to_the_same_bytes(tmp_path, undisturbed):
    config, out, gate = tmp_path / "run.yaml", tmp_path / "out", Gate(tmp_path / "gate")
    gated = {"name": "gated", "inner": CONFIG["problem"], "gate": str(gate.file)}
    config.write_text(yaml.safe_dump(CONFIG | {"problem": gated, "plugins": [PLUGIN]}))
    command = [sys.executable, "-m", "wiregrad", "run", str(config), "--out", str(out)]
    gate.close_after(9)
    victim = subprocess.Popen([*command, "--checkpoint", "0"], stdout=subprocess.DEVNULL)
    try:
        until(gate.reached, victim)
        victim.send_signal(signal.SIGKILL)
    finally:
        kill_tree(victim)
    assert (out / "checkpoint.pt").exists()
    assert not (out / record.CARD).exists()
    gate.open()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
    assert (out / record.HISTORY).read_bytes() == undisturbed


def test_a_checkpoint_of_another_configuration_is_not_used(tmp_path, undisturbed):
    def cut(done, total, row):
        if done == 5:
            raise Cut

    other = RunConfig.parse(CONFIG | {"seed": 4})
    with pytest.raises(Cut):
        execute(other, tmp_path, checkpoint_seconds=0, progress=cut)
    assert (tmp_path / "checkpoint.pt").exists()
    execute(RunConfig.parse(CONFIG), tmp_path)
    assert (tmp_path / record.HISTORY).read_bytes() == undisturbed


def test_a_damaged_checkpoint_is_not_used(tmp_path, undisturbed):
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    execute(RunConfig.parse(CONFIG), tmp_path)
    assert (tmp_path / record.HISTORY).read_bytes() == undisturbed


def test_a_finished_run_is_kept_unless_damaged_or_of_another_code(tmp_path, monkeypatch):
    run = RunConfig.parse(CONFIG | {"budget": {"steps": 2}})
    card = execute(run, tmp_path)
    began = []
    original = Loop.run
    monkeypatch.setattr(Loop, "run", lambda self: (began.append(1), original(self))[1])
    assert execute(run, tmp_path) == card
    assert not began
    (tmp_path / record.HISTORY).write_bytes(b"")
    assert execute(run, tmp_path).history_sha256 == card.history_sha256
    assert len(began) == 1
    monkeypatch.setattr(identity, "method_code_sha256", lambda *_: "another")
    execute(run, tmp_path)
    assert len(began) == 2


def test_divergence_is_a_row_and_an_outcome(tmp_path):
    wild = CONFIG | {"method": {"name": "dist_sgd", "lr": 1e30}}
    card = execute(RunConfig.parse(wild), tmp_path)
    assert card.outcome == "diverged"
    history = record.read_history(tmp_path / record.HISTORY).to_pylist()
    assert [row["diverged"] for row in history] == [False] * (len(history) - 1) + [True]
    assert history[-1]["step"] == card.steps < 24


def test_a_target_and_a_bit_budget_end_a_run_early(tmp_path):
    target = {"steps": 24, "target": {"column": "loss_train", "below": 2.28}}
    card = execute(RunConfig.parse(CONFIG | {"budget": target}), tmp_path / "target")
    last = record.read_history(tmp_path / "target" / record.HISTORY).to_pylist()[-1]
    assert last["loss_train"] <= 2.28
    assert card.steps < 24
    execute(RunConfig.parse(CONFIG | {"budget": {"bits": 200_000}}), tmp_path / "bits")
    rows = record.read_history(tmp_path / "bits" / record.HISTORY).to_pylist()
    per_round = rows[1]["uplink_bits_wire"] / rows[1]["step"]
    assert 200_000 <= rows[-1]["uplink_bits_wire"] < 200_000 + per_round
