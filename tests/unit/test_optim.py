"""The optimiser of one process: the same x as the suite's own runtime, and what PyTorch expects."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "programs"))

from training import Parabolas

from wiregrad.comm.accounting import convention
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods import registry
from wiregrad.methods.base import Step
from wiregrad.optim import CompressedOptimizer
from wiregrad.runtimes.simulated import Simulated

ROUNDS = 12
TOP_K: dict[str, Any] = {"name": "top_k", "k": 5}
COMP_AMS: dict[str, Any] = {"lr": 0.05, "compressor": TOP_K}


def fields(name: str) -> dict[str, Any]:
    takes_one = "compressor" in registry[name].__dataclass_fields__
    given = {"lr": 0.02} | ({"compressor": TOP_K} if takes_one else {})
    return given | registry[name].example()


class Bench:
    """Parameters that have the tensors of the parabolas, and the gradients that it gives them."""

    def __init__(self) -> None:
        self.problem = Parabolas(1)
        self.params = nn.ParameterDict()
        for name, shape in zip(self.problem.layout.names, self.problem.layout.shapes, strict=True):
            self.params[name.replace(".", "_")] = nn.Parameter(torch.zeros(shape))
        names = self.problem.layout.names
        self.named = list(zip(names, self.params.values(), strict=True))

    @property
    def x(self) -> torch.Tensor:
        return torch.cat([param.detach().reshape(-1) for _, param in self.named])

    def backward(self, t: int) -> None:
        grad = torch.empty(1, self.problem.dim)
        self.problem.gradients(self.x, t, grad, [0])
        for (_, param), (_, shape, place) in zip(
            self.named, self.problem.layout.slices(), strict=True
        ):
            param.grad = grad[0, place].view(shape).clone()

    def train(self, optimizer: CompressedOptimizer, rounds: range) -> None:
        for t in rounds:
            self.backward(t)
            optimizer.step()


@pytest.mark.parametrize("name", list(registry))
def test_one_worker_moves_as_in_the_simulation(name: str) -> None:
    bench, method = Bench(), registry.build({"name": name, **fields(name)})
    optimizer = CompressedOptimizer(bench.named, method, total_steps=ROUNDS, seed=9)
    runtime = Simulated(bench.problem, method, Seeds(9), convention("formula"))
    for t in range(1, ROUNDS + 1):
        bench.backward(t)
        optimizer.step()
        runtime.round(Step(t, ROUNDS, method.lr, seeds=Seeds(9)), measure=False)
        assert torch.equal(bench.x, runtime.x)
    assert optimizer.bits == runtime.bits()
    assert bench.x.any()


def test_a_scheduler_sets_the_learning_rate() -> None:
    bench = Bench()
    optimizer = CompressedOptimizer(bench.named, "dist_sgd", lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for t, lr in enumerate((0.1, 0.05, 0.025), start=1):
        before = bench.x
        bench.backward(t)
        grad = torch.cat([param.grad.reshape(-1) for _, param in bench.named])
        optimizer.step()
        scheduler.step()
        assert torch.allclose(bench.x, before - lr * grad, rtol=1e-6, atol=1e-8)


def test_a_closure_is_called_and_its_loss_returned() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = CompressedOptimizer([weight], "dist_sgd", lr=0.25)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert weight.tolist() == [0.5, 0.5, 0.5]


def test_what_needs_no_gradient_stays_and_what_has_none_counts_as_zero() -> None:
    moved, frozen, unused = (nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen.requires_grad_(requires_grad=False)
    optimizer = CompressedOptimizer([moved, frozen, unused], "dist_sgd", lr=0.5)
    moved.sum().backward()
    optimizer.step()
    assert moved.tolist() == [0.5, 0.5]
    assert frozen.tolist() == unused.tolist() == [1.0, 1.0]
    assert optimizer.bits.uplink_bits_paper == 32 * 4


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("comp_ams", COMP_AMS | {"compressor": {"name": "rand_k", "k": 5}}),
        ("cd_adam", {"lr": 0.02, "compressor": "scaled_sign"}),
        ("efficient_adam", {"lr": 0.02, "compressor": "qsgd", "server_compressor": "qsgd"}),
        ("clag", COMP_AMS | {"zeta": 2.0}),
    ],
)
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(name: str, given: Any) -> None:
    whole, first, second = Bench(), Bench(), Bench()

    def fresh(bench: Bench) -> CompressedOptimizer:
        return CompressedOptimizer(bench.named, name, total_steps=ROUNDS, **given)

    uninterrupted = fresh(whole)
    whole.train(uninterrupted, range(1, ROUNDS + 1))
    optimizer = fresh(first)
    first.train(optimizer, range(1, 6))
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    resumed = fresh(second)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    assert torch.equal(second.x, first.x)
    second.train(resumed, range(6, ROUNDS + 1))
    assert torch.equal(second.x, whole.x)
    assert resumed.bits == uninterrupted.bits


def test_a_gradient_that_is_not_finite_leaves_the_parameters() -> None:
    bench = Bench()
    optimizer = CompressedOptimizer(bench.named, "comp_ams", **COMP_AMS)
    bench.train(optimizer, range(1, 4))
    before = bench.x
    bench.backward(4)
    bench.named[0][1].grad[0] = torch.nan
    with pytest.raises(NonFiniteError):
        optimizer.step()
    assert torch.equal(bench.x, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_model_on_a_gpu_is_moved_there() -> None:
    ends = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = nn.Linear(6, 3).to(device)
        optimizer = CompressedOptimizer(model.parameters(), "comp_ams", **COMP_AMS)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(4, 6, device=device)).square().mean().backward()
            optimizer.step()
        ends.append(model.weight.detach().cpu())
    assert torch.allclose(*ends, rtol=1e-4, atol=1e-6)


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2).double()


@pytest.mark.parametrize(
    ("params", "method", "given", "message"),
    [
        (nn.Linear(2, 2).parameters(), "comp_am", {"lr": 1}, "did you mean 'comp_ams'"),
        (nn.Linear(2, 2).parameters(), "comp_ams", {"lr": 1}, "compressor: Field required"),
        (
            nn.Linear(2, 2).parameters(),
            registry.build({"name": "dist_sgd", "lr": 1}),
            {"lr": 2},
            "^lr: to be given with the name of a method only",
        ),
        (
            nn.Linear(2, 2).parameters(),
            "dist_sgd",
            {"lr": 1, "schedule": {"milestones": [1]}},
            "^method.schedule: an optimiser has none, use torch.optim.lr_scheduler",
        ),
        (
            nn.Linear(2, 2).parameters(),
            "cd_adam",
            {"lr": 1, "compressor": "scaled_sign", "blocks": "per_layer"},
            "blocks: per_layer needs named_parameters",
        ),
        (
            [{"params": [each]} for each in nn.Linear(2, 2).parameters()],
            "dist_sgd",
            {"lr": 1},
            "one vector, in one group",
        ),
        (Mixed().parameters(), "dist_sgd", {"lr": 1}, "torch.float32 on cpu, torch.float64 on cpu"),
        ([torch.zeros(2)], "dist_sgd", {"lr": 1}, "no parameter requires a gradient"),
    ],
)
def test_what_cannot_be_trained_is_told(
    params: Any, method: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CompressedOptimizer(params, method, **given)


def test_a_method_that_asks_for_the_number_of_steps_says_so() -> None:
    bench = Bench()
    optimizer = CompressedOptimizer(bench.named, "one_bit_adam", lr=0.01)
    bench.backward(1)
    with pytest.raises(ConfigError, match="give total_steps="):
        optimizer.step()


def test_the_state_of_another_method_is_refused() -> None:
    bench = Bench()
    sgd = CompressedOptimizer(bench.named, "dist_sgd", lr=0.1)
    other = CompressedOptimizer(bench.named, "comp_ams", **COMP_AMS)
    with pytest.raises(ConfigError, match=r"of \{'method': .*comp_ams.*, allowed: .*dist_sgd"):
        sgd.load_state_dict(other.state_dict())
    with pytest.raises(ConfigError, match=r"'processes': None.* allowed: .*dist_sgd"):
        sgd.load_state_dict(torch.optim.SGD(bench.params.values(), lr=0.1).state_dict())
    smaller = CompressedOptimizer([nn.Parameter(torch.zeros(3))], "dist_sgd", lr=0.1)
    with pytest.raises(ConfigError, match=r"of \{'parameters': 3\}, allowed: \{'parameters': 40\}"):
        sgd.load_state_dict(smaller.state_dict())
