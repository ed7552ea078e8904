"""The minimiser of a smooth, strongly convex mean of the workers' f_i, to rounding error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from wiregrad.core.errors import NotCovered
from wiregrad.theory.constants import DENSE_UP_TO

_STEPS = 100
"""Of Newton's method, at most."""
_ENOUGH = 1e-13
"""As a share of ‖∇f(x⁰)‖: smaller gradients are rounding errors."""


class Smooth(Protocol):
    """What Newton's method asks of a problem (see `wiregrad.problems.convex`)."""

    def gradients_batch(self, x: torch.Tensor) -> torch.Tensor:
        """∇f_i `[R, n, d]` at `x` `[R, d]`."""

    def hessian_times(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """∇²f(x) v `[R, d]`."""

    def evaluate_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The values f and ‖∇f‖ `[R]`."""


@dataclass(frozen=True)
class Optimum:
    """The minimiser of f = mean f_i."""

    x: torch.Tensor
    """x* `[d]`."""
    value: float
    """f(x*)."""
    grad_norm: float
    """‖∇f(x*)‖, which rounding leaves."""
    sigma2: float
    """σ*² = Σ‖∇f_i(x*)‖²."""


def find(problem: Smooth, x0: torch.Tensor) -> Optimum:
    """The minimiser by Newton's method from `x0` `[d]`; each step is halved until ‖∇f‖ falls.

    Linear systems above `DENSE_UP_TO` dimensions are solved by conjugate gradients. Raises
    NotCovered if ‖∇f‖ does not fall to 1e-9 ‖∇f(x⁰)‖.
    """
    x, grads = x0.clone(), problem.gradients_batch(x0[None])[0]
    first = norm = float(grads.mean(0).norm())
    for _ in range(_STEPS):
        if norm <= _ENOUGH * first:
            break
        direction = _solve(problem, x, grads.mean(0))
        step, found = 1.0, False
        while not found and step > 1e-6:
            moved = x - step * direction
            there = problem.gradients_batch(moved[None])[0]
            smaller = float(there.mean(0).norm())
            found = smaller < norm
            step /= 2
        if not found:
            break
        x, grads, norm = moved, there, smaller
    if norm > 1e-9 * max(first, 1e-300):
        raise NotCovered(f"no minimiser found: ‖∇f‖ = {norm:.3g} after {first:.3g} at x0")
    value, _ = problem.evaluate_batch(x[None])
    return Optimum(x, float(value), norm, float(grads.square().sum()))


def _solve(problem: Smooth, x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """∇²f(x)⁻¹ b, of the smallest norm."""
    if len(x) <= DENSE_UP_TO:
        hessian = problem.hessian_times(x, torch.eye(len(x), dtype=x.dtype, device=x.device))
        found: torch.Tensor = torch.linalg.pinv(hessian, hermitian=True) @ b
        return found

    from scipy.sparse.linalg import LinearOperator, cg  # noqa: PLC0415 - slow, seldom used

    def multiply(v: np.ndarray[tuple[int], np.dtype[np.float64]]) -> object:
        return problem.hessian_times(x, torch.from_numpy(v).to(x)[None])[0].cpu().numpy()

    operator = LinearOperator((len(x), len(x)), matvec=multiply, dtype=np.float64)
    solved, _ = cg(operator, b.cpu().numpy(), rtol=1e-6, maxiter=1000)
    return torch.from_numpy(solved).to(x)
