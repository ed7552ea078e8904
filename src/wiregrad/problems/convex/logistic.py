"""Logistic regression over the fixed rows of each worker: the problems of EF21, 3PC and AdaCGD."""

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
from wiregrad.problems.convex.base import mean_norm
from wiregrad.problems.convex.csr import Csr
from wiregrad.problems.convex.rows import OverRows, Parts, RowsSpec
from wiregrad.theory import constants
from wiregrad.theory.constants import Constants

if TYPE_CHECKING:
    from wiregrad.problems.convex.factors import Factors


class Regulariser(NamedTuple):
    """r(x) `[R]`, its gradient and its second derivatives `[R, d]` at `x` `[R, d]`, without λ."""

    value: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor], torch.Tensor]
    curvature: Callable[[torch.Tensor], torch.Tensor]


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


class Logistic(OverRows):
    """f = mean of the workers' f_i(x) = mean log(1 + exp(−y aᵀx)) + λ r(x) over a worker's rows.

    Where the compiled kernels are in force (float64 on the CPU) all workers and points are one
    pass over the rows, and a point's bits are the same in any batch and for any choice of workers.
    """

    curvature_bound = 0.25
    _spec: LogisticSpec
    _evaluated: tuple[torch.Tensor, torch.Tensor] | None = None
    """The point `[1, d]` that was evaluated last, and the gradients `[1, n, d]` there."""

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
            self._with_kernel(x, out, self._parts.bounds[list(chosen)])
            return out
        return self._with_torch(x, out, chosen)

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See Convex."""
        x = x.contiguous()
        out = x.new_empty(len(x), self.workers, self.dim)
        if sparse_rows.supports(x, out):
            margins = x.new_empty(len(x), self._parts.rows.m)
            self._with_kernel(x, out, self._parts.bounds, margins)
            self._evaluated = (x.clone(), out) if len(x) == 1 else None
        else:
            self._with_torch(x, out, range(self.workers))
            margins = torch.cat([part.times(x) for part in self._matrices]).T
        losses = -(functional.logsigmoid(margins) @ self._row_weights)
        value = losses + self._spec.lam * REGULARISERS[self._spec.regulariser].value(x)
        return value, mean_norm(out)

    def constants(self) -> Constants:
        """See Convex."""
        parts = [self.part(worker).scipy() for worker in range(self.workers)]
        return constants.logistic(parts, self._spec.lam, self._spec.regulariser)

    def _with_kernel(
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

        return factor(self._parts.rows, self._parts.labels, self.workers)

    @cached_property
    def _row_weights(self) -> torch.Tensor:
        """Of each row in f, `[m]`: a mean over workers of means over their rows."""
        sizes = self._parts.sizes
        weights = (1 / (self.workers * sizes.to(self.dtype))).repeat_interleave(sizes)
        return weights.to(self.device)

    @cached_property
    def _signed(self) -> Csr:
        return self._parts.rows.scaled(self._parts.labels)

    def _targets(self, rows: torch.Tensor | slice) -> None:
        del rows  # they are in the signs

    def _slope(self, products: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        del targets
        return -torch.sigmoid(-products)

    def _curvature(self, products: torch.Tensor) -> torch.Tensor:
        chance = torch.sigmoid(products)
        return chance * (1 - chance)

    def _regular_curvature(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * REGULARISERS[self._spec.regulariser].curvature(x)

    def _regular_gradient(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * REGULARISERS[self._spec.regulariser].gradient(x)


@register("logistic")
@dataclass(frozen=True, kw_only=True)
class LogisticSpec(RowsSpec):
    """Logistic regression on a binary LIBSVM set; x⁰ = 0 and everything exact by default."""

    task = "binary"

    regulariser: Literal["nonconvex", "l2", "none"] = "nonconvex"

    def _over(self, parts: Parts, seeds: Seeds, device: torch.device) -> Logistic:
        return Logistic(parts, self, seeds, device)
