"""Least squares over the rows of each worker: smooth, convex, and PL without strong convexity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from wiregrad.core.rng import Seeds
from wiregrad.problems.base import register
from wiregrad.problems.convex.base import norm_of_mean
from wiregrad.problems.convex.csr import Csr
from wiregrad.problems.convex.rows import RowProblem, RowSpec, WorkerSamples
from wiregrad.theory import constants
from wiregrad.theory.constants import Constants


class LeastSquares(RowProblem):
    """f = mean of the workers' f_i(x) = ‖A_i x − b_i‖²/(2 m_i) + λ‖x‖²/2.

    Where it is less work, gradients are computed as H_i x − c_i with H_i = A_iᵀA_i/m_i + λI, which
    is formed once; the bits of a gradient may then depend on the batch of points.
    """

    curvature_bound = 1.0
    _spec: LeastSquaresSpec

    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """See Convex."""
        chosen = range(self.workers) if workers is None else workers
        out = x.new_empty(len(x), len(chosen), self.dim) if out is None else out
        if not self._few_columns:
            return self._gradients_in_torch(x, out, chosen)
        hessians, linear = self._normal
        if workers is not None:
            hessians, linear = hessians[list(chosen)], linear[list(chosen)]
        product = x @ hessians.reshape(-1, self.dim).T
        return torch.sub(product.view_as(out), linear, out=out)

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See Convex."""
        losses = [
            (matrix.times(x) - self._targets(self._samples.slice(worker))).square().mean(0) / 2
            for worker, matrix in enumerate(self._matrices)
        ]
        value = torch.stack(losses).mean(0) + self._spec.lam * x.square().sum(-1) / 2
        return value, norm_of_mean(self.gradients_batch(x))

    def constants(self) -> Constants:
        """See Convex."""
        parts = [self.worker_matrix(worker).scipy() for worker in range(self.workers)]
        return constants.least_squares(parts, self._spec.lam)

    @property
    def _few_columns(self) -> bool:
        """Whether H_i x is less work than two sparse products with the rows.

        A dense multiplication is counted as 8 times as fast as a sparse one.
        """
        return self.workers * self.dim**2 <= 8 * len(self._samples.rows.values)

    @cached_property
    def _normal(self) -> tuple[torch.Tensor, torch.Tensor]:
        """H `[n, d, d]` and c `[n, d]`, with c_i = A_iᵀb_i/m_i."""
        hessians = torch.empty(self.workers, self.dim, self.dim, dtype=self.dtype)
        linear = torch.empty(self.workers, self.dim, dtype=self.dtype)
        for worker in range(self.workers):
            rows, inside = self.worker_matrix(worker).dense(), self._samples.slice(worker)
            hessians[worker] = rows.T @ rows / len(rows)
            hessians[worker].diagonal().add_(self._spec.lam)
            linear[worker] = rows.T @ self._samples.labels[inside] / len(rows)
        return hessians.to(self.device), linear.to(self.device)

    @property
    def _signed_rows(self) -> Csr:
        return self._samples.rows

    def _targets(self, rows: torch.Tensor | slice) -> torch.Tensor:
        return self._samples.labels[rows][:, None].to(self.device)

    def _slope(self, products: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        assert targets is not None
        return products - targets

    def _curvature(self, products: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(products)

    def _regular_curvature(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, self._spec.lam)

    def _regular_gradient(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * x


@register("least_squares")
@dataclass(frozen=True, kw_only=True)
class LeastSquaresSpec(RowSpec):
    """Least squares on a LIBSVM set with labels ±1 or real.

    With `lam` 0 the objective is convex and satisfies the PL condition, without being strongly
    convex where columns are dependent.
    """

    task = "any"

    lam: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lam < 0:
            raise ValueError(f"lam: {self.lam}, allowed: at least 0")

    def _problem_on(
        self, samples: WorkerSamples, seeds: Seeds, device: torch.device
    ) -> LeastSquares:
        return LeastSquares(samples, self, seeds, device)
