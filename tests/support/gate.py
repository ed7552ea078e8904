"""A gate at which a run waits between two rounds that a test chooses.

A test that interrupts a run would otherwise race with it: on a busy machine the run may be over
before the test gets its turn. Imported by tests, and given to runs as a plugin: it registers the
problem `gated`, which is another problem whose gradients wait.

The gate is a file that holds a number: rounds beyond it wait until the file changes or goes.
Without the file nobody waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wiregrad.core.rng import Seeds
from wiregrad.problems import Problem, ProblemSpec, register, registry

PLUGIN = __file__
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Gate:
    """Both sides of a gate: the test closes and opens it, the run passes it."""

    file: Path

    @property
    def _arrival(self) -> Path:
        return self.file.with_suffix(".arrived")

    def close_after(self, rounds: int) -> None:
        """Let no more than so many rounds pass."""
        self._arrival.unlink(missing_ok=True)
        draft = self.file.with_suffix(".draft")
        draft.write_text(str(rounds), encoding="utf-8")
        draft.replace(self.file)  # nobody reads a half of it

    def open(self) -> None:
        """Let every round pass."""
        self.file.unlink(missing_ok=True)

    def reached(self) -> bool:
        """Whether somebody has come to wait since the gate was closed last."""
        return self._arrival.exists()

    def pass_in_round(self, step: int) -> None:
        """Wait until round `step` may begin."""
        while self._closed_in_round(step):
            self._arrival.touch()
            time.sleep(POLL_SECONDS)

    def _closed_in_round(self, step: int) -> bool:
        try:
            return step > int(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False


@register("gated")
@dataclass(frozen=True, kw_only=True)
class Gated(ProblemSpec):
    """The problem `inner` with a gate. `data` only tells the workflow what to fetch."""

    inner: dict[str, Any] = field(default_factory=lambda: {"name": "quadratic"})
    data: str = ""
    gate: str = ""
    """The file; without a name there is no gate."""
    held: int = 0
    """Who computes the gradient of this worker waits."""
    opener: int = -1
    """With a worker here all others wait, and the gate opens when this one computes a gradient."""

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Problem:
        """See ProblemSpec."""
        problem = registry.build(self.inner).build(workers, seeds, device)
        if self.gate:
            self._gate_gradients(problem)
        return problem

    def _gate_gradients(self, problem: Problem) -> None:
        gate, compute = Gate(Path(self.gate)), problem.gradients

        def gradients(
            x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
        ) -> None:
            if self.opener in workers:
                gate.open()
            elif self.opener >= 0 or self.held in workers:
                gate.pass_in_round(step)
            compute(x, step, out, workers)

        problem.gradients = gradients  # type: ignore[method-assign]
