"""One rank of the tests of `wiregrad.optim` and `wiregrad.ddp`: trains, and reports what it saw.

training.py REPORTS      writes REPORTS/<rank>.json, and checkpoints beside it
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import Layout
from wiregrad.ddp import CompressionState, compression_hook
from wiregrad.optim import CompressedOptimizer
from wiregrad.problems.base import Evaluation, Problem

ROUNDS = 20
SEED = 5
TOP_K: dict[str, Any] = {"name": "top_k", "k": 5}
METHODS: dict[str, dict[str, Any]] = {
    "comp_ams": {"name": "comp_ams", "lr": 0.01, "compressor": TOP_K},
    "cd_adam": {"name": "cd_adam", "lr": 0.01, "compressor": "scaled_sign", "blocks": "per_layer"},
    "efficient_adam": {
        "name": "efficient_adam",
        "lr": 0.01,
        "compressor": {"name": "log_quantiser", "bits": 3},
        "server_compressor": "qsgd",
    },
    "adacgd": {"name": "adacgd", "lr": 0.01, "zeta": 1.0, "compressors": [TOP_K, "identity"]},
    "async_ef_sgd": {"name": "async_ef_sgd", "lr": 0.01, "compressor": TOP_K},
}
HOOKS: dict[str, dict[str, Any]] = {
    "sign": {"compressor": "scaled_sign", "blocks": "per_tensor"},
    "top_k": {"compressor": {"name": "top_k", "k": 2}, "blocks": "per_tensor"},
    "top_k_alone": {
        "compressor": {"name": "top_k", "k": 2},
        "blocks": "per_tensor",
        "error_feedback": False,
    },
    "identity": {"compressor": "identity"},
    "qsgd": {"compressor": {"name": "qsgd", "levels": 4}, "blocks": "per_tensor"},
}
HOOKED_ROUNDS = 6
POISONED_ROUND = 4
LR = 0.05


class Parabolas(Problem):
    """f_i(x) = sum of a_ij (x_j - b_ij)² / 2 over j: workers disagree about the minimum."""

    layout = Layout(("a.weight", "a.bias", "b.weight"), ((4, 5), (4,), (4, 4)))

    def __init__(self, workers: int) -> None:
        self.workers, self.device, self.dtype = workers, torch.device("cpu"), torch.float32
        draw = torch.Generator().manual_seed(SEED)
        self.a = torch.rand(workers, self.dim, generator=draw) + 0.5
        self.b = torch.randn(workers, self.dim, generator=draw)

    def x0(self) -> torch.Tensor:
        return torch.zeros(self.dim)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        for row, i in zip(out, workers, strict=True):
            row.copy_(self.a[i] * (x - self.b[i]))

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        return Evaluation()


def parameters(problem: Parabolas) -> list[tuple[str, nn.Parameter]]:
    """Tensors of the problem; what is not at rank 0 starts elsewhere, and must be overruled."""
    layout, away = problem.layout, float(dist.get_rank())
    shapes = zip(layout.names, layout.shapes, strict=True)
    return [(name, nn.Parameter(torch.full(shape, away))) for name, shape in shapes]


def flat(named: list[tuple[str, nn.Parameter]]) -> torch.Tensor:
    return torch.cat([param.detach().reshape(-1) for _, param in named])


def optimise(
    method: dict[str, Any], checkpoint: Path | None, *, replicated: bool
) -> dict[str, Any]:
    """Train; with `checkpoint`, in two halves, the second by an optimiser that was not there."""
    rank = dist.get_rank()
    problem = Parabolas(dist.get_world_size())
    fields = {key: value for key, value in method.items() if key != "name"}

    def fresh() -> tuple[list[tuple[str, nn.Parameter]], CompressedOptimizer]:
        named = parameters(problem)
        given = {"total_steps": ROUNDS, "seed": SEED, "replicated": replicated}
        return named, CompressedOptimizer(named, method["name"], **given, **fields)

    named, optimizer = fresh()
    for t in range(1, ROUNDS + 1):
        if checkpoint and t == ROUNDS // 2:
            file = checkpoint / f"half.rank{rank}.pt"
            torch.save(optimizer.state_dict(), file)
            named, optimizer = fresh()
            optimizer.load_state_dict(torch.load(file, weights_only=True))
        backward(problem, named, t)
        optimizer.step()
    return {"x": flat(named).tolist(), "bits": asdict(optimizer.bits)}


def backward(problem: Parabolas, named: list[tuple[str, nn.Parameter]], t: int) -> None:
    """This rank's gradient, where autograd would have left it."""
    grad = torch.empty(1, problem.dim)
    problem.gradients(flat(named), t, grad, [dist.get_rank()])
    for (_, param), (_, shape, place) in zip(named, problem.layout.slices(), strict=True):
        param.grad = grad[0, place].view(shape).clone()


def stopped_by_one() -> dict[str, Any]:
    """Whether all ranks hear that the gradient of one is not finite."""
    problem = Parabolas(dist.get_world_size())
    named = parameters(problem)
    optimizer = CompressedOptimizer(named, "comp_ams", lr=0.01, compressor=TOP_K)
    backward(problem, named, 1)
    if dist.get_rank() == 1:
        named[0][1].grad[0, 0] = torch.inf
    try:
        optimizer.step()
    except NonFiniteError:
        return {"raised": True, "x": flat(named).tolist()}
    return {"raised": False}


def network() -> nn.Module:
    """In float64, so that the twin can be told from a mistake."""
    torch.manual_seed(SEED)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    return net.double()


def samples(rank: int, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs `[8, 6]` and targets `[8, 1]` of a rank's batch in round t."""
    draw = torch.Generator().manual_seed(1000 * rank + t)
    inputs = torch.randn(8, 6, generator=draw, dtype=torch.float64)
    return inputs, inputs.sum(1, keepdim=True).sin()


def hooked(options: dict[str, Any], checkpoint: Path | None, *, poisoned: bool) -> dict[str, Any]:
    """Train under DistributedDataParallel, cut into many buckets, with plain SGD."""
    rank = dist.get_rank()
    model = DistributedDataParallel(network(), bucket_cap_mb=1e-4)
    state = CompressionState(model, seed=SEED, **options)
    model.register_comm_hook(state, compression_hook)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    found: dict[str, Any] = {}
    for t in range(1, HOOKED_ROUNDS + 1):
        if checkpoint and t == HOOKED_ROUNDS // 2:
            file = checkpoint / f"hook.rank{rank}.pt"
            torch.save([model.module.state_dict(), state.state_dict()], file)
            weights, held = torch.load(file, weights_only=True)
            again = network()
            again.load_state_dict(weights)
            model = DistributedDataParallel(again, bucket_cap_mb=1e-4)
            state = CompressionState(model, seed=SEED + 1, **options)
            state.load_state_dict(held)
            model.register_comm_hook(state, compression_hook)
            optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        inputs, targets = samples(rank, t)
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        if poisoned and (rank, t) == (1, POISONED_ROUND):
            loss = loss * torch.nan
        loss.backward()
        grads = torch.cat([param.grad.reshape(-1) for param in model.parameters()])
        if poisoned and t == POISONED_ROUND:
            found["all NaN"] = bool(grads.isnan().all())
            continue  # as a loss scaler does
        optimizer.step()
    x = torch.cat([param.detach().reshape(-1) for param in model.parameters()])
    return found | {"x": x.tolist(), "bits": state.wire_bits}


def main(reports: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found: dict[str, Any] = {"stopped": stopped_by_one()}
    for name, method in METHODS.items():
        for replicated in (False, True):
            found[f"{name}/{replicated}"] = optimise(method, None, replicated=replicated)
        found[f"{name}/resumed"] = optimise(method, reports, replicated=False)
    for name, options in HOOKS.items():
        found[f"hook/{name}"] = hooked(options, None, poisoned=False)
        found[f"hook/{name}/resumed"] = hooked(options, reports, poisoned=False)
    found["hook/poisoned"] = hooked(HOOKS["sign"], None, poisoned=True)
    (reports / f"{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
