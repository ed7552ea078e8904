"""The server's AMSGrad step as a run executes it, d = 1.1e7, against other implementations.

The textbook's four lines allocate a vector for every operation. With flat vectors of 45 MB, the
system maps fresh pages for each of them. Tensor by tensor (ResNet-18 has 62), the allocator reuses
memory. Both forms are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ratios import Goal, Row, Turns, milliseconds
from synthetic import STEP
from wiregrad.methods import registry as methods
from wiregrad.problems.models.resnet import resnet18_cifar

pytestmark = pytest.mark.benchmark(timer=time.process_time)
GROUP = "Server and optimiser"
TEXTBOOK = Goal(15, 23)
LR, BETA1, BETA2, EPS = STEP.lr, 0.9, 0.999, 1e-8
LIMIT = "e += g"


class Mean:
    """Stands in for the received messages; their mean is already there."""

    def __init__(self, g: torch.Tensor) -> None:
        self._g = g

    def mean(self, *_: int) -> torch.Tensor:
        return self._g


class Silent:
    """Stands in for the downlink and sends nothing."""

    def dense(self, x: torch.Tensor) -> None:
        """Do nothing."""


def ours(shapes: list[torch.Size]) -> Callable[[], object]:
    method = methods.build({"name": "dist_ams", "lr": LR})
    x, g = flat(shapes, 1), flat(shapes, 2)
    server, received, down = method.init(x, 1).server, Mean(g), Silent()
    return lambda: method.serve(server, received, down, STEP)


def textbook(
    x: list[Any], g: list[Any], zeros: Callable[[Any], Any], lib: Any
) -> Callable[[], None]:
    """The four lines of the algorithm, for each of the arrays in `x`."""
    m, v, v_hat = ([zeros(each) for each in x] for _ in range(3))

    def step() -> None:
        for i in range(len(x)):
            m[i] = BETA1 * m[i] + (1 - BETA1) * g[i]
            v[i] = BETA2 * v[i] + (1 - BETA2) * g[i] ** 2
            v_hat[i] = lib.maximum(v_hat[i], v[i])
            x[i] = x[i] - LR * m[i] / lib.sqrt(v_hat[i] + EPS)

    return step


def torch_adam(shapes: list[torch.Size], **options: Any) -> Callable[[], object]:
    x = [torch.nn.Parameter(each) for each in tensors(shapes, 1)]
    for parameter, g in zip(x, tensors(shapes, 2), strict=True):
        parameter.grad = g
    return torch.optim.Adam(x, lr=LR, amsgrad=True, **options).step


def tensors(shapes: list[torch.Size], seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [0.01 * torch.randn(shape, generator=generator) for shape in shapes]


def flat(shapes: list[torch.Size], seed: int) -> torch.Tensor:
    return torch.cat([each.reshape(-1) for each in tensors(shapes, seed)])


def test_amsgrad(turns: Turns, table: list[Row], quick: bool) -> None:
    shapes = [p.shape for p in resnet18_cifar().parameters()]
    shapes = shapes[:4] if quick else shapes
    x, g = flat(shapes, 1), flat(shapes, 2)
    arrays = [[each.numpy().copy()] for each in (x, g)]
    others = {
        "textbook, flat": textbook([x], [g], torch.zeros_like, torch),
        "textbook, 62 tensors": textbook(
            tensors(shapes, 1), tensors(shapes, 2), torch.zeros_like, torch
        ),
        "NumPy, flat": textbook(*arrays, np.zeros_like, np),
        "torch Adam(amsgrad)": torch_adam(shapes),
        "torch Adam(amsgrad, fused)": torch_adam(shapes, fused=True),
        LIMIT: lambda: x.add_(g),
    }
    took = turns(ours(shapes), others, rounds=15)
    mine = took["ours"]
    what = f"AMSGrad, d = {x.numel():.2g}"
    for name in others:
        if name != LIMIT:
            goal = TEXTBOOK if name == "textbook, flat" else None
            group = GROUP if name.startswith("textbook") else "Peers"
            detail = milliseconds({"ours": mine, "other": took[name]})
            table.append(Row(group, what, name, took[name] / mine, "×", detail, goal))
    # x, m, v, v^ are read and written, g is read: 9 vectors, of which `e += g` moves 3.
    detail = milliseconds({"ours": mine, "3 × (e += g)": 3 * took[LIMIT]})
    share = 3 * took[LIMIT] / mine
    table.append(Row(GROUP, what, "memory limit, 9 vectors", share, "%", detail))
