"""The generated quadratics of 3PC: tridiagonal, ill-conditioned, of adjustable heterogeneity."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pydantic
import torch

from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.data.splits import FIXED
from wiregrad.problems.base import ProblemSpec, register
from wiregrad.problems.convex.base import Convex, norm_of_mean
from wiregrad.theory import constants
from wiregrad.theory.constants import Constants


class Quadratic(Convex):
    """f = mean of the workers' f_i(x) = xᵀA_i x/2 − b_iᵀx, A_i = (ν_i/4) T + shift·I.

    T = tridiag(−1, 2, −1) is never formed: the gradients of n workers at a point cost O(nd). A
    gradient has the same bits in any batch and for any choice of workers.

    Args:
        scale: ν, one for each worker, `[n]`.
        first: The first coordinate of b_i, the only one that is not 0, `[n]`.
        shift: What is added to the diagonal of each A_i.
        d: Number of coordinates.
        device: Where gradients are computed.
    """

    def __init__(
        self, scale: torch.Tensor, first: torch.Tensor, shift: float, d: int, device: torch.device
    ) -> None:
        self._scale, self._first, self._shift = scale.to(device), first.to(device), shift
        self.device, self.dtype = device, scale.dtype
        self.layout = Layout.flat(d)
        self.workers = self.train_size = self.samples_per_step = len(scale)
        self.steps_per_epoch = 1

    def x0(self) -> torch.Tensor:
        """See Problem."""
        return self.starting_point(Seeds(0))

    def starting_point(self, seeds: Seeds) -> torch.Tensor:
        """See Convex: (√d, 0, …, 0) for any seeds."""
        del seeds
        x = torch.zeros(self.dim, dtype=self.dtype, device=self.device)
        x[0] = math.sqrt(self.dim)
        return x

    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """See Convex."""
        chosen = slice(None) if workers is None else list(workers)
        scale, first = self._scale[chosen], self._first[chosen]
        out = x.new_empty(len(x), len(scale), self.dim) if out is None else out
        torch.mul(self._product(x)[:, None], scale[:, None] / 4, out=out)
        out += self._shift * x[:, None]
        out[..., 0] -= first
        return out

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See Convex."""
        gradients = self.gradients_batch(x)
        curved = self._product(x) * (self._scale.mean() / 4) + self._shift * x
        value = (x * curved).sum(-1) / 2 - self._first.mean() * x[..., 0]
        return value, norm_of_mean(gradients)

    def constants(self) -> Constants:
        """See Convex."""
        return constants.tridiagonal_quadratics(self._scale.tolist(), self._shift, self.dim)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        """T x `[R, d]` at `x` `[R, d]`."""
        product = 2 * x
        product[..., 1:] -= x[..., :-1]
        product[..., :-1] -= x[..., 1:]
        return product


@register("quadratic")
@dataclass(frozen=True, kw_only=True)
class QuadraticSpec(ProblemSpec):
    """Random quadratics, one for each worker, whose mean has the smallest eigenvalue `lam`.

    ν_i = 1 + sξ_i and b_i = (ν_i/4)(−1 + sξ′_i)e₁ with standard normal ξ, ξ′ and s = `noise`; the
    shift lifts the smallest eigenvalue of the mean to `lam`. Source: arXiv 2202.00998, appendix on
    quadratics (its generation algorithm).
    """

    dim: pydantic.PositiveInt = 1000
    """d."""
    noise: pydantic.NonNegativeFloat = 0.05
    """How much the workers' quadratics differ; with 0 they are equal."""
    lam: pydantic.PositiveFloat = 1e-6
    """The strong-convexity constant μ of the mean."""
    instance: pydantic.NonNegativeInt = 0
    """Which random quadratics; an instance is the same in every run, whatever its seed."""
    dtype: Literal["float64", "float32"] = "float64"

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Quadratic:
        """See ProblemSpec; `seeds` are not used, since an instance has streams of its own."""
        del seeds
        generator = FIXED.generator("problem", "quadratic", self.instance)
        draws = torch.randn(workers, 2, generator=generator, dtype=torch.float64)
        scale, other = 1 + self.noise * draws[:, 0], self.noise * draws[:, 1]
        first = scale / 4 * (-1 + other)
        mean = scale.mean().item() / 4
        end = self.dim if mean < 0 else 1
        shift = self.lam - mean * (2 - 2 * math.cos(end * math.pi / (self.dim + 1)))
        dtype = {"float64": torch.float64, "float32": torch.float32}[self.dtype]
        problem = Quadratic(scale.to(dtype), first.to(dtype), shift, self.dim, device)
        problem.provenance = {
            "name": "quadratic",
            "variant": f"d{self.dim}-s{self.noise:g}-i{self.instance}",
            "source": "generated",
            "sha256": hashlib.sha256(draws.numpy().tobytes()).hexdigest(),
        }
        return problem
