"""What the convex problems share: all workers at many points at once, and their constants."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch

from wiregrad.core.rng import Seeds
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.theory.constants import Constants

Start = Literal["zeros", "normal"]


class Convex(Problem):
    """f = mean of the workers' f_i, whose exact gradients have a closed form.

    The methods with ``batch`` in their name take R points `[R, d]` at once: the runs of a sweep.
    A point's results are the same in any batch up to rounding; to the last bit where the problem
    says so.
    """

    stochastic = False
    """Whether `gradients` draws samples; the ``batch`` methods never do."""

    @abstractmethod
    def start(self, seeds: Seeds) -> torch.Tensor:
        """The starting point `[d]` of a run with these seeds."""

    @abstractmethod
    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """The exact gradients `[R, n, d]` of `workers` (all) at `x` `[R, d]`, in `out` if given."""

    @abstractmethod
    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The objective f `[R]` and ‖∇f‖ `[R]` at `x` `[R, d]`."""

    @abstractmethod
    def constants(self) -> Constants:
        """Smoothness, and strong convexity where there is one; they take a moment."""

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem."""
        del step
        self.gradients_batch(x[None], out[None], workers)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """The objective and the norm of its exact gradient."""
        loss, norm = self.evaluate_batch(x[None])
        return Evaluation(loss_train=loss.item(), grad_norm=norm.item())


def mean_norm(gradients: torch.Tensor) -> torch.Tensor:
    """‖mean over workers‖ `[R]` of `[R, n, d]`: ‖∇f‖."""
    norm: torch.Tensor = torch.linalg.vector_norm(gradients.mean(-2), dim=-1)
    return norm
