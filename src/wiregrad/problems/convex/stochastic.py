"""A toy stochastic problem: exact gradients in closed form, plus noise of known variance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pydantic
import torch

from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.data.splits import FIXED
from wiregrad.problems.base import ProblemSpec, register
from wiregrad.problems.convex.base import Convex, Start, norm_of_mean
from wiregrad.theory.constants import Constants


class ToyStochastic(Convex):
    """f = mean of the workers' f_i(x) = Σ_j λ_j (√(1 + (Qx − c_i)_j²) − 1), Q orthogonal.

    A worker's stochastic gradient is ∇f_i(x) + ξ. Each ξ_j is σ/√d or −σ/√d with probability 1/2,
    independently, drawn from the generator ``worker/i/step/t``; so ξ is bounded and E‖ξ‖² = σ².
    Evaluations and the ``batch`` methods are exact. A worker's gradient has the same bits for any
    choice of workers.

    Args:
        parts: λ `[d]`, Q `[d, d]` and the c_i `[n, d]`.
        noise: σ.
        start: The starting point: "zeros", or "normal" for N(0, I).
        seeds: The seeds of the run.
        device: Where gradients are computed.
    """

    stochastic = True

    def __init__(
        self,
        parts: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        noise: float,
        start: Start,
        seeds: Seeds,
        device: torch.device,
    ) -> None:
        self.curvature, self.rotation, self.centres = (part.to(device) for part in parts)
        self._start, self._seeds = start, seeds
        self.device, self.dtype = device, self.centres.dtype
        self.workers, d = self.centres.shape
        self._size = noise / d**0.5
        self.layout = Layout.flat(d)
        self.train_size = self.samples_per_step = self.workers
        self.steps_per_epoch = 1

    def x0(self) -> torch.Tensor:
        """See Problem."""
        return self.starting_point(self._seeds)

    def starting_point(self, seeds: Seeds) -> torch.Tensor:
        """See Convex: zeros, or drawn from N(0, I) by the stream ``init``."""
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        if self._start == "normal":
            zeros.normal_(generator=seeds.generator("init"))
        return zeros.to(self.device)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem."""
        slopes = self._slopes(x[None], workers)[0]
        for row, slope, worker in zip(out, slopes, workers, strict=True):
            generator = self._seeds.generator("worker", worker, "step", step)
            signs = torch.randint(2, (self.dim,), generator=generator, dtype=torch.int8)
            signs = signs.mul_(2).sub_(1).to(self.device, self.dtype)
            torch.mv(self.rotation.T, slope, out=row).add_(signs, alpha=self._size)

    def gradients_batch(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        workers: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """See Convex."""
        return torch.matmul(self._slopes(x, workers), self.rotation, out=out)

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See Convex."""
        residual = self._residual(x)
        losses = ((1 + residual.square()).sqrt() - 1) @ self.curvature
        return losses.mean(-1), norm_of_mean(self.gradients_batch(x))

    def constants(self) -> Constants:
        """See Convex: L = max λ_j, reached where Qx = c_i; f is not strongly convex."""
        largest = float(self.curvature.max())
        return Constants(each=(largest,) * self.workers, minus=largest)

    def _slopes(self, x: torch.Tensor, workers: Sequence[int] | None) -> torch.Tensor:
        """The gradients `[R, n, d]` before they are rotated back."""
        residual = self._residual(x)[:, slice(None) if workers is None else list(workers)]
        return self.curvature * residual / (1 + residual.square()).sqrt()

    def _residual(self, x: torch.Tensor) -> torch.Tensor:
        """Qx − c_i `[R, n, d]`."""
        return (x @ self.rotation.T)[:, None] - self.centres


@register("toy_stochastic")
@dataclass(frozen=True, kw_only=True)
class ToyStochasticSpec(ProblemSpec):
    """A smooth toy problem, convex but not strongly convex, of our own design.

    The abstract of arXiv 2205.14473 speaks of "a toy stochastic convex optimization problem" and
    says no more about it. Here λ_j = L/j, c_i = `spread` (u + `unlike` w_i) with standard normal u
    and w_i, and Q is a random rotation.
    """

    dim: pydantic.PositiveInt = 100
    """d."""
    smooth: pydantic.PositiveFloat = 1.0
    """The smoothness constant L."""
    spread: pydantic.PositiveFloat = 3.0
    """Standard deviation of the common part of the centres, per coordinate."""
    unlike: pydantic.NonNegativeFloat = 0.3
    """How much the workers' centres differ, relative to `spread`; with 0 they are equal."""
    noise: pydantic.NonNegativeFloat = 1.0
    """σ, the root mean square norm of the noise."""
    instance: pydantic.NonNegativeInt = 0
    """Which random problem; an instance is the same in every run, whatever its seed."""
    dtype: Literal["float64", "float32"] = "float64"
    x0: Start = "zeros"

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> ToyStochastic:
        """See ProblemSpec; an instance is drawn from streams of its own."""
        normal = self._normal(self.dim, self.dim, name="rotation")
        common = self._normal(self.dim, name="centre")
        own = torch.stack([self._normal(self.dim, name=f"worker/{i}") for i in range(workers)])
        rotation, upper = torch.linalg.qr(normal)
        rotation *= upper.diagonal().sign()
        curvature = self.smooth / torch.arange(1, self.dim + 1, dtype=torch.float64)
        centres = self.spread * (common + self.unlike * own)
        dtype = {"float64": torch.float64, "float32": torch.float32}[self.dtype]
        parts = (curvature.to(dtype), rotation.to(dtype), centres.to(dtype))
        problem = ToyStochastic(parts, self.noise, self.x0, seeds, device)
        draws = torch.cat([normal, common[None], own])
        problem.provenance = {
            "name": "toy_stochastic",
            "variant": f"d{self.dim}-s{self.noise:g}-i{self.instance}",
            "source": "generated",
            "sha256": hashlib.sha256(draws.numpy().tobytes()).hexdigest(),
        }
        return problem

    def _normal(self, *size: int, name: str) -> torch.Tensor:
        generator = FIXED.generator("problem", "toy_stochastic", self.instance, name)
        return torch.randn(*size, generator=generator, dtype=torch.float64)
