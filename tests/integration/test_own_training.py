"""The optimiser and the hook of DistributedDataParallel in three real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "programs"))

from training import (
    HOOKED_ROUNDS,
    HOOKS,
    LR,
    METHODS,
    POISONED_ROUND,
    ROUNDS,
    SEED,
    Parabolas,
    network,
    samples,
)

from wiregrad.comm.accounting import convention
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry
from wiregrad.methods.base import Step
from wiregrad.runtimes.simulated import Simulated

PROGRAM = Path(__file__).parent / "programs" / "training.py"
N = 3


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank saw: all in one start of three processes."""
    where = tmp_path_factory.mktemp("training")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={N}", str(PROGRAM), str(where)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((where / f"{rank}.json").read_text()) for rank in range(N)]


def simulated(method: dict[str, Any]) -> Simulated:
    problem = Parabolas(N)
    built = registry.build(method)
    runtime = Simulated(problem, built, Seeds(SEED), convention("formula"))
    for t in range(1, ROUNDS + 1):
        runtime.round(Step(t, ROUNDS, built.lr, seeds=Seeds(SEED)), measure=False)
    return runtime


@pytest.mark.parametrize("name", METHODS)
def test_every_process_has_the_x_of_the_simulation(name: str, reports: list[Any]) -> None:
    expected = simulated(METHODS[name])
    for variant in ("False", "True", "resumed"):
        for rank in reports:
            assert rank[f"{name}/{variant}"]["x"] == expected.x.tolist()
    bits = expected.bits()
    for variant in ("False", "resumed"):
        found = reports[0][f"{name}/{variant}"]["bits"]
        assert found["uplink_bits_wire"] == bits.uplink_bits_wire
        assert found["downlink_bits_wire"] == bits.downlink_bits_wire
    replicated = reports[2][f"{name}/True"]["bits"]
    assert replicated["uplink_bits_wire"] == bits.uplink_bits_wire
    assert replicated["downlink_bits_wire"] == 0


def test_all_hear_that_one_has_no_finite_gradient(reports: list[Any]) -> None:
    for rank in reports:
        assert rank["stopped"] == {"raised": True, "x": [0.0] * 40}


# -- the hook, against NumPy -------------------------------------------------------------------


def sign(v: np.ndarray) -> np.ndarray:
    return np.abs(v).mean() * np.where(v >= 0, 1.0, -1.0)


def top_2(v: np.ndarray) -> np.ndarray:
    kept = np.argsort(-np.abs(v), kind="stable")[:2]
    out = np.zeros_like(v)
    out[kept] = v[kept]
    return out


NAIVE = {
    "sign": (sign, True),
    "top_k": (top_2, True),
    "top_k_alone": (top_2, False),
    "identity": (np.copy, True),
}


def gradients(net: torch.nn.Module, rank: int, t: int) -> list[np.ndarray]:
    inputs, targets = samples(rank, t)
    net.zero_grad()
    (net(inputs) - targets).square().mean().backward()
    return [param.grad.numpy().reshape(-1).copy() for param in net.parameters()]


def naive(name: str, left_out: int = 0) -> np.ndarray:
    """x after training, tensor by tensor: e_i <- g_i + e_i - c_i,  x <- x - lr mean c_i."""
    compress, feedback = NAIVE[name]
    net = network()
    errors = [[np.zeros(p.numel()) for p in net.parameters()] for _ in range(N)]
    for t in range(1, HOOKED_ROUNDS + 1):
        if t == left_out:
            continue
        held = [gradients(net, rank, t) for rank in range(N)]
        for i, param in enumerate(net.parameters()):
            total = np.zeros(param.numel())
            for g, e in zip(held, errors, strict=True):
                target = g[i] + e[i] if feedback else g[i]
                sent = compress(target)
                e[i] = target - sent
                total += sent
            param.data -= LR * torch.from_numpy(total / N).view(param.shape)
    return np.concatenate([p.detach().numpy().reshape(-1) for p in net.parameters()])


@pytest.mark.parametrize("name", NAIVE)
def test_the_hook_sends_what_the_formula_says(name: str, reports: list[Any]) -> None:
    for rank in reports:
        assert rank[f"hook/{name}"]["x"] == reports[0][f"hook/{name}"]["x"]
    np.testing.assert_allclose(reports[0][f"hook/{name}"]["x"], naive(name), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAIVE)
def test_the_hook_goes_on_from_a_checkpoint(name: str, reports: list[Any]) -> None:
    for rank in reports:
        assert rank[f"hook/{name}/resumed"]["x"] == rank[f"hook/{name}"]["x"]


def test_random_messages_are_heard_alike(reports: list[Any]) -> None:
    for name in ("hook/qsgd", "hook/qsgd/resumed"):
        assert np.isfinite(reports[0][name]["x"]).all()
        assert [rank[name]["x"] for rank in reports] == [reports[0][name]["x"]] * N


def test_a_nan_of_one_is_nan_in_all_and_the_round_is_not_remembered(reports: list[Any]) -> None:
    for rank in reports:
        assert rank["hook/poisoned"]["all NaN"]
        expected = naive("sign", left_out=POISONED_ROUND)
        np.testing.assert_allclose(rank["hook/poisoned"]["x"], expected, rtol=0, atol=1e-13)


def test_what_was_sent_is_counted(reports: list[Any]) -> None:
    bits = {name: reports[0][f"hook/{name}"]["bits"] for name in HOOKS}
    d = sum(param.numel() for param in network().parameters())
    assert 64 * d * HOOKED_ROUNDS < bits["identity"] < 1.5 * 64 * d * HOOKED_ROUNDS
    assert bits["sign"] < bits["identity"] / 4
    assert bits["top_k"] == bits["top_k_alone"] < bits["identity"]
