"""The interface of the convex problems: many points at once, and the constants of the theory."""

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
    """f is the mean of the workers' f_i, whose exact gradients have a closed form.

    The methods with ``batch`` in their name take R points `[R, d]` at once, those of the R runs of
    a sweep. The results for a point do not depend on the other points, up to rounding; exactly,
    where the problem says so.
    """

    stochastic = False
    """Whether `gradients` draws samples or noise; the ``batch`` methods are always exact."""

    @abstractmethod
    def starting_point(self, seeds: Seeds) -> torch.Tensor:
        """The starting point `[d]` of a run with these seeds, a new tensor."""

    @abstractmethod
    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """The exact gradients `[R, m, d]` of m `workers` (default: all n) at `x` `[R, d]`.

        They are written to `out` `[R, m, d]` if it is given.
        """

    @abstractmethod
    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """F `[R]` and ‖∇f‖ `[R]` at `x` `[R, d]`."""

    @abstractmethod
    def constants(self) -> Constants:
        """The smoothness and, if any, strong-convexity constants; takes up to some seconds."""

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem; exact, the same in every round."""
        del step
        self.gradients_batch(x[None], out[None], workers)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem: the objective and the norm of its exact gradient."""
        loss, norm = self.evaluate_batch(x[None])
        return Evaluation(loss_train=loss.item(), grad_norm=norm.item())


def norm_of_mean(gradients: torch.Tensor) -> torch.Tensor:
    """‖∇f‖ `[R]` from the workers' gradients `[R, n, d]`: the norm of their mean."""
    norm: torch.Tensor = torch.linalg.vector_norm(gradients.mean(-2), dim=-1)
    return norm
