"""A whole step of 16 workers: wiregrad's, against the loop that one would write first.

A step is the gradients of 16 workers, error feedback with the scaled sign of the whole vector, the
mean at the server, and AMSGrad. The naive loop is plain PyTorch in one process with two threads.
wiregrad's step is the one that `wiregrad run` executes, in a pool of two processes with one thread
each. Both read the same prepared data from memory, normalise and augment with the same vectorised
code, and draw dropout, so the naive loop does no avoidable work. It neither packs nor counts bits.

    python benchmarks/naive_step.py                     both problems, a table
    python benchmarks/naive_step.py mnist_cnn --rounds 40 --repeats 9

Each side is a process that receives its orders on standard input, so that the rounds of both
alternate on the same machine in the same minutes. The least of a side's repeats is its result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

PROBLEMS = ("mnist_cnn", "cifar_lenet")
DATA = {"mnist_cnn": "mnist|mnist-5k", "cifar_lenet": "cifar10|cifar10-mirror"}
WORKERS, BATCH = 16, 32
SIDES = {"naive": 2, "wiregrad": 1}
"""Threads of each side's main process."""


@dataclass(frozen=True)
class Comparison:
    """Milliseconds of a step, the least over the repeats: each side, and wiregrad's gradients."""

    problem: str
    naive: float
    wiregrad: float
    gradients: float

    @property
    def ratio(self) -> float:
        """How many times as fast wiregrad's step is."""
        return self.naive / self.wiregrad

    @property
    def overhead(self) -> float:
        """Compression, server and optimiser as a share of wiregrad's step."""
        return 1 - self.gradients / self.wiregrad


class Naive:
    """One process, one worker after the other: zero_grad, forward, backward, cat."""

    def __init__(self, problem: str) -> None:
        import torch

        from wiregrad import data

        torch.manual_seed(0)
        tensors = data.load(DATA[problem]).tensors
        self.images, self.labels = tensors["train_images"], tensors["train_labels"]
        self.mnist = problem == "mnist_cnn"
        self.model = _mnist_cnn() if self.mnist else _lenet()
        d = sum(p.numel() for p in self.model.parameters())
        self.errors = [torch.zeros(d) for _ in range(WORKERS)]
        self.m, self.v, self.v_hat = torch.zeros(d), torch.zeros(d), torch.zeros(d)
        self.order = torch.randperm(len(self.labels))
        self.seconds = 0.0
        """Seconds spent on gradients so far."""

    def batch(self, step: int, worker: int) -> tuple[Any, Any]:
        import torch

        from wiregrad.problems import vision

        at = (step * WORKERS + worker) * BATCH % (len(self.order) - BATCH)
        rows = self.order[at : at + BATCH]
        pixels = self.images[rows]
        channels = vision.MNIST if self.mnist else vision.CIFAR10
        if self.mnist:
            pixels = pixels.view(-1, 1, 28, 28)
        else:
            pixels = vision.crop_and_flip(pixels, torch.default_generator)
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (channels.mean, channels.std))
        return (pixels.float() / 255 - mean) / std, self.labels[rows]

    def step(self, step: int) -> None:
        import torch
        from torch.nn import functional

        total = torch.zeros_like(self.m)
        for worker in range(WORKERS):
            began = time.perf_counter()
            images, labels = self.batch(step, worker)
            self.model.zero_grad()
            functional.cross_entropy(self.model(images), labels).backward()
            grad = torch.cat([p.grad.reshape(-1) for p in self.model.parameters()])
            self.seconds += time.perf_counter() - began
            corrected = grad + self.errors[worker]
            sent = corrected.abs().mean() * torch.where(corrected < 0, -1.0, 1.0)
            self.errors[worker] = corrected - sent
            total += sent
        g = total / WORKERS
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g**2
        self.v_hat = torch.maximum(self.v_hat, self.v)
        update = 1e-3 * self.m / torch.sqrt(self.v_hat + 1e-8)
        at = 0
        with torch.no_grad():
            for p in self.model.parameters():
                p.sub_(update[at : at + p.numel()].view_as(p))
                at += p.numel()


def _mnist_cnn() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(50, 10),
    )


def _lenet() -> Any:
    from torch import nn

    convs = [
        layer
        for c, o in ((3, 16), (16, 32), (32, 64))
        for layer in (nn.Conv2d(c, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    ]
    head = (nn.Flatten(), nn.Linear(1024, 500), nn.ReLU(), nn.Dropout(), nn.Linear(500, 10))
    return nn.Sequential(*convs, *head)


class Wiregrad:
    """The simulated runtime of a run configuration, with its gradients computed by a pool."""

    def __init__(self, problem: str, processes: int = 2) -> None:
        import torch

        from wiregrad.comm import accounting
        from wiregrad.core.rng import Seeds
        from wiregrad.runs.config import RunConfig
        from wiregrad.runs.pool.pool import Pool
        from wiregrad.runtimes.simulated import Simulated

        config = RunConfig.parse(
            {
                "problem": {"name": problem, "data": DATA[problem], "batch": BATCH},
                "method": {"name": "comp_ams", "lr": 1e-3, "compressor": "scaled_sign"},
                "runtime": {"workers": WORKERS},
                "budget": {"steps": 1},
                "seed": 0,
            }
        )
        seeds = Seeds(config.seed)
        problem = config.problem.build(WORKERS, seeds, torch.device("cpu"))
        problem = Pool(processes).share(config, problem)
        self.seconds = 0.0
        """Seconds spent on gradients so far."""
        compute = problem.gradients

        def timed(*arguments: Any) -> None:
            began = time.perf_counter()
            compute(*arguments)
            self.seconds += time.perf_counter() - began

        problem.gradients = timed  # type: ignore[method-assign]
        self.runtime = Simulated(
            problem, config.method, seeds, accounting.convention(config.log.convention)
        )

    def step(self, step: int) -> None:
        from wiregrad.methods.base import Step

        self.runtime.round(Step(step, 10**6, 1e-3), measure=False)


def serve(side: str, problem: str) -> None:
    """Read numbers of rounds from standard input, one a line, and execute that many steps.

    Print, for each line, the mean seconds of a step and of its gradients.
    """
    import torch

    torch.set_num_threads(SIDES[side])
    runner = Naive(problem) if side == "naive" else Wiregrad(problem)
    step = 0
    for line in sys.stdin:
        rounds = int(line)
        before, began = runner.seconds, time.perf_counter()
        for _ in range(rounds):
            step += 1
            runner.step(step)
        seconds = time.perf_counter() - began
        print(json.dumps([seconds / rounds, (runner.seconds - before) / rounds]), flush=True)


def start(side: str, problem: str) -> subprocess.Popen[str]:
    """Start the process of one side, which then waits for lines."""
    return subprocess.Popen(
        [sys.executable, __file__, problem, "--serve", side],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(SIDES[side])},
    )


def ask(process: subprocess.Popen[str], rounds: int) -> list[float]:
    """The mean seconds of a step, and of its gradients, over `rounds` steps."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(rounds, file=process.stdin, flush=True)
    answer: list[float] = json.loads(process.stdout.readline())
    return answer


def compare(problem: str, rounds: int = 10, repeats: int = 7) -> Comparison:
    """Time both sides alternately, `repeats` times, after one turn that warms up."""
    sides = {side: start(side, problem) for side in SIDES}
    taken: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    try:
        for _ in range(repeats + 1):
            for side, process in sides.items():
                taken[side].append(ask(process, rounds))
    finally:
        for process in sides.values():
            process.kill()
            process.communicate()
    naive = min(taken["naive"][1:])
    ours = min(taken["wiregrad"][1:])
    return Comparison(problem, 1e3 * naive[0], 1e3 * ours[0], 1e3 * ours[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("problems", nargs="*", default=PROBLEMS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--serve", choices=SIDES)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.problems[0])
        return
    print("| problem | naive, ms | wiregrad, ms | ratio | gradients | the rest |")
    print("|---|---|---|---|---|---|")
    for problem in given.problems:
        c = compare(problem, given.rounds, given.repeats)
        print(
            f"| {c.problem} | {c.naive:.1f} | {c.wiregrad:.1f} | {c.ratio:.2f} | "
            f"{c.gradients:.1f} ms | {c.overhead:.0%} |"
        )


if __name__ == "__main__":
    main()
