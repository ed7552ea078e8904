"""Logistic regression over the rows of each worker: the problem of EF21, 3PC and AdaCGD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch.nn import functional

from wiregrad.core.rng import Seeds
from wiregrad.kernels import sparse_rows
from wiregrad.problems.base import register
from wiregrad.problems.convex.base import norm_of_mean
from wiregrad.problems.convex.csr import Csr
from wiregrad.problems.convex.rows import RowProblem, RowSpec, WorkerSamples
from wiregrad.theory import constants
from wiregrad.theory.constants import Constants

if TYPE_CHECKING:
    from wiregrad.problems.convex.factors import Factors


class Regulariser(NamedTuple):
    """A regulariser r at points `[R, d]`, without the factor λ."""

    value: Callable[[torch.Tensor], torch.Tensor]
    """r(x) `[R]`."""
    gradient: Callable[[torch.Tensor], torch.Tensor]
    """∇r(x) `[R, d]`."""
    curvature: Callable[[torch.Tensor], torch.Tensor]
    """The diagonal of ∇²r(x) `[R, d]`; the rest of it is zero."""


REGULARISERS = {
    # r(x) = Σ x²/(1 + x²), 2x/(1 + x²)² and (2 − 6x²)/(1 + x²)³
    "nonconvex": Regulariser(
        lambda x: (x.square() / (1 + x.square())).sum(-1),
        lambda x: 2 * x / (1 + x.square()).square(),
        lambda x: (2 - 6 * x.square()) / (1 + x.square()) ** 3,
    ),
    # r(x) = ‖x‖²/2, x and 1
    "l2": Regulariser(lambda x: x.square().sum(-1) / 2, lambda x: x, torch.ones_like),
    "none": Regulariser(lambda x: x.new_zeros(x.shape[:-1]), torch.zeros_like, torch.zeros_like),
}


class Logistic(RowProblem):
    """f = mean of the workers' f_i(x) = mean over worker i's rows log(1 + exp(−y aᵀx)) + λ r(x).

    Where the compiled kernels can be used (float64 on the CPU), one pass over the rows serves all
    workers and points, and a gradient has the same bits in any batch and for any choice of workers.
    """

    curvature_bound = 0.25
    _spec: LogisticSpec
    _evaluated: tuple[torch.Tensor, torch.Tensor] | None = None
    """The point `[1, d]` that was evaluated last, and the gradients `[1, n, d]` at it."""

    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """See Convex."""
        chosen = range(self.workers) if workers is None else workers
        out = x.new_empty(len(x), len(chosen), self.dim) if out is None else out
        x = x.contiguous()
        if sparse_rows.supports(x, out):
            known = self._evaluated
            if known is not None and torch.equal(x, known[0]):  # a run that is logged every round
                return out.copy_(known[1][:, list(chosen)])
            self._gradients_in_kernel(x, out, self._samples.bounds[list(chosen)])
            return out
        return self._gradients_in_torch(x, out, chosen)

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See Convex."""
        x = x.contiguous()
        out = x.new_empty(len(x), self.workers, self.dim)
        if sparse_rows.supports(x, out):
            margins = x.new_empty(len(x), self._samples.rows.m)
            self._gradients_in_kernel(x, out, self._samples.bounds, margins)
            self._evaluated = (x.clone(), out) if len(x) == 1 else None
        else:
            self._gradients_in_torch(x, out, range(self.workers))
            margins = torch.cat([part.times(x) for part in self._matrices]).T
        losses = -(functional.logsigmoid(margins) @ self._row_weights)
        value = losses + self._spec.lam * REGULARISERS[self._spec.regulariser].value(x)
        return value, norm_of_mean(out)

    def constants(self) -> Constants:
        """See Convex."""
        parts = [self.worker_matrix(worker).scipy() for worker in range(self.workers)]
        return constants.logistic(parts, self._spec.lam, self._spec.regulariser)

    def _gradients_in_kernel(
        self,
        x: torch.Tensor,
        out: torch.Tensor,
        bounds: torch.Tensor,
        margins: torch.Tensor | None = None,
    ) -> None:
        onto = self._regular_gradient(x)
        sparse_rows.logistic(*self._factors, bounds, x, onto, out, margins)

    @cached_property
    def _factors(self) -> Factors:
        from wiregrad.problems.convex.factors import factor  # noqa: PLC0415 - imports SciPy

        return factor(self._samples.rows, self._samples.labels, self.workers)

    @cached_property
    def _row_weights(self) -> torch.Tensor:
        """The weight of each row in f, `[m]`: f is a mean over workers of means over rows."""
        sizes = self._samples.sizes
        weights = (1 / (self.workers * sizes.to(self.dtype))).repeat_interleave(sizes)
        return weights.to(self.device)

    @cached_property
    def _signed_rows(self) -> Csr:
        return self._samples.rows.scaled(self._samples.labels)

    def _targets(self, rows: torch.Tensor | slice) -> None:
        del rows  # the labels are the signs of the rows

    def _slope(self, products: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        del targets
        return -torch.sigmoid(-products)

    def _curvature(self, products: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(products)
        return p * (1 - p)

    def _regular_curvature(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * REGULARISERS[self._spec.regulariser].curvature(x)

    def _regular_gradient(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * REGULARISERS[self._spec.regulariser].gradient(x)


@register("logistic")
@dataclass(frozen=True, kw_only=True)
class LogisticSpec(RowSpec):
    """Logistic regression on a binary LIBSVM set; by default x⁰ = 0 and gradients are exact."""

    task = "binary"

    regulariser: Literal["nonconvex", "l2", "none"] = "nonconvex"
    """Σ x_j²/(1 + x_j²), ‖x‖²/2, or 0; its weight is `lam`."""

    def _problem_on(self, samples: WorkerSamples, seeds: Seeds, device: torch.device) -> Logistic:
        return Logistic(samples, self, seeds, device)
