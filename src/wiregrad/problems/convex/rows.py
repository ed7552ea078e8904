"""Problems over the rows of a LIBSVM set: who has which rows, and what a run may configure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import pydantic
import torch

from wiregrad import data
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.data import DataSet
from wiregrad.data.splits import FIXED, Remainder, contiguous, label_skewed
from wiregrad.problems.base import Evaluation, ProblemSpec, provenance
from wiregrad.problems.convex.base import Convex, Start
from wiregrad.problems.convex.csr import Csr, Dense, Rows, rows_of


@dataclass(frozen=True)
class Parts:
    """Rows `[m, d]` and labels `[m]`, a worker's rows behind one another: `bounds` `[n, 2]`."""

    rows: Csr
    labels: torch.Tensor
    bounds: torch.Tensor

    def __len__(self) -> int:
        return len(self.bounds)

    def slice(self, worker: int) -> slice:
        """Where a worker's rows are."""
        first, end = self.bounds[worker].tolist()
        return slice(first, end)

    @property
    def sizes(self) -> torch.Tensor:
        """Rows of each worker, `[n]`."""
        return self.bounds.diff(dim=1)[:, 0]


class OverRows(Convex):
    """f_i(x) = mean over worker i's rows of a loss of aᵀx and its label, plus λ times r(x).

    f is their mean, or their sum where `objective` says so: then evaluations are of n times as
    much. Gradients are those of the f_i, and constants and batches those of the mean, either way.
    With a batch of b a worker draws b of its rows independently and uniformly, with replacement,
    from the generator ``worker/i/step/t``; else gradients are exact.
    """

    curvature_bound: ClassVar[float]
    """A bound on the second derivative of the loss."""
    _spec: RowsSpec

    def __init__(self, parts: Parts, spec: RowsSpec, seeds: Seeds, device: torch.device) -> None:
        self._parts, self._spec, self._seeds = parts, spec, seeds
        self.device, self.dtype = device, _DTYPES[spec.dtype]
        self.layout = Layout.flat(parts.rows.d)
        self.workers = len(parts)
        self.train_size = parts.rows.m
        self.stochastic = spec.batch != "full"
        self.samples_per_step = (
            self.workers * int(spec.batch) if self.stochastic else self.train_size
        )
        self.steps_per_epoch = max(1, self.train_size // self.samples_per_step)

    def x0(self) -> torch.Tensor:
        """See Problem."""
        return self.start(self._seeds)

    def start(self, seeds: Seeds) -> torch.Tensor:
        """Zeros, or N(0, I) from the stream ``init``."""
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        if self._spec.x0 == "normal":
            zeros.normal_(generator=seeds.generator("init"))
        return zeros.to(self.device)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem."""
        if not self.stochastic:
            super().gradients(x, step, out, workers)
            return
        regular = self._regular_gradient(x[None])
        for row, worker in zip(out, workers, strict=True):
            chosen = self._draw(worker, step)
            part = Dense(self._signed.take(chosen).dense().to(self.device))
            weights = self._slope(part.times(x[None]), self._targets(chosen))
            row.copy_((regular + part.back(weights) / len(chosen))[0])

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem."""
        found = super().evaluate(x)
        if self._spec.objective == "mean":
            return found
        n = self.workers
        return replace(found, loss_train=n * found.loss_train, grad_norm=n * found.grad_norm)

    def hessian_times(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """∇²f(x) v for each v `[R, d]`, f the mean, at `x` `[d]`."""
        total = self.workers * self._regular_curvature(x) * v
        for matrix, size in zip(self._matrices, self._parts.sizes.tolist(), strict=True):
            weights = self._curvature(matrix.times(x[None])) * matrix.times(v)
            total += matrix.back(weights) / size
        return total / self.workers

    def part(self, worker: int) -> Csr:
        """The rows `[m_i, d]` of a worker, with the labels multiplied in where they are signs."""
        return self._signed.slice(self._parts.slice(worker))

    @cached_property
    def _matrices(self) -> list[Rows]:
        """The same for torch, on the device."""
        return [rows_of(self.part(worker).to(self.device)) for worker in range(self.workers)]

    @property
    @abstractmethod
    def _signed(self) -> Csr:
        """The rows that `_slope` is of."""

    @abstractmethod
    def _targets(self, rows: torch.Tensor | slice) -> torch.Tensor | None:
        """The labels `[m, 1]` of these rows, on the device, if the loss needs them."""

    @abstractmethod
    def _slope(self, products: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        """The derivative of the loss at the rows' products `[m, R]` with the points."""

    @abstractmethod
    def _curvature(self, products: torch.Tensor) -> torch.Tensor:
        """The second derivative of the loss at the rows' products `[m, R]` with the points."""

    @abstractmethod
    def _regular_curvature(self, x: torch.Tensor) -> torch.Tensor:
        """λ∂²r/∂x_j² `[d]` at `x` `[d]`: r is a sum over coordinates."""

    @abstractmethod
    def _regular_gradient(self, x: torch.Tensor) -> torch.Tensor:
        """λ∇r `[R, d]`."""

    def _with_torch(
        self, x: torch.Tensor, out: torch.Tensor, workers: Sequence[int]
    ) -> torch.Tensor:
        """Gradients of `workers` `[R, n, d]` from matrix products, worker after worker."""
        regular = self._regular_gradient(x)
        for place, worker in enumerate(workers):
            matrix, inside = self._matrices[worker], self._parts.slice(worker)
            weights = self._slope(matrix.times(x), self._targets(inside))
            torch.add(
                regular,
                matrix.back(weights),
                alpha=1 / (inside.stop - inside.start),
                out=out[:, place],
            )
        return out

    def _draw(self, worker: int, step: int) -> torch.Tensor:
        inside = self._parts.slice(worker)
        generator = self._seeds.generator("worker", worker, "step", step)
        size = (int(self._spec.batch),)
        chosen = torch.randint(inside.stop - inside.start, size, generator=generator)
        return chosen.add_(inside.start)


@dataclass(frozen=True, kw_only=True)
class RowsSpec(ProblemSpec):
    """A LIBSVM set cut among workers; x⁰ = 0 and everything exact by default.

    `split` contiguous gives each worker the same number of rows in their order, and the remainder
    to the last one (or drops it); shuffled permutes the rows first; dirichlet gives each worker
    unequal shares of the labels, the more so the smaller `alpha`. All are the same in every run.
    """

    task: ClassVar[str]

    data: str = "phishing"
    """A LIBSVM set of the catalogue, or a name of `wiregrad.data.generated`."""
    lam: pydantic.NonNegativeFloat = 0.1
    split: Literal["contiguous", "shuffled", "dirichlet"] = "contiguous"
    alpha: pydantic.PositiveFloat | None = None
    remainder: Remainder = "last"
    batch: Literal["full"] | pydantic.PositiveInt = "full"
    dtype: Literal["float64", "float32"] = "float64"
    x0: Start = "zeros"
    objective: Literal["mean", "sum"] = "mean"
    """Whether f is the mean or the sum of the workers' f_i."""

    def __post_init__(self) -> None:
        if (self.alpha is not None) != (self.split == "dirichlet"):
            raise ValueError("alpha: a number with split dirichlet, and only there")

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> OverRows:
        """See ProblemSpec."""
        return self.bind(data.load(self.data), workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> OverRows:
        """The problem on this data set, whatever `data` says.

        Raises ConfigError where the set is of another kind or has too few rows.
        """
        problem = self._over(self._cut(found.tensors, workers), seeds, device)
        problem.provenance = provenance(found)
        return problem

    @abstractmethod
    def _over(self, parts: Parts, seeds: Seeds, device: torch.device) -> OverRows:
        """The problem over these rows."""

    def _cut(self, tensors: dict[str, torch.Tensor], workers: int) -> Parts:
        rows, labels = self._rows(tensors)
        if self.split == "dirichlet":
            mine = label_skewed(labels, workers, float(self.alpha or 0))
        else:
            order = torch.arange(rows.m)
            if self.split == "shuffled":
                order = torch.randperm(rows.m, generator=FIXED.generator("data", "split"))
            mine = [order[part] for part in contiguous(rows.m, workers, self.remainder)]
        ends = torch.tensor([len(part) for part in mine]).cumsum(0)
        starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1]])
        kept = torch.cat(mine)
        return Parts(rows.take(kept), labels[kept], torch.stack([starts, ends], 1).contiguous())

    def _rows(self, tensors: dict[str, Any]) -> tuple[Csr, torch.Tensor]:
        """The set's matrix and labels; ConfigError naming it where it is another kind of data."""
        if "crow" not in tensors:
            raise ConfigError(f"problem.data: {self.data!r} is not a set of rows with labels")
        if self.task == "binary" and not bool((tensors["labels"].abs() == 1).all()):
            raise ConfigError(f"problem.data: {self.data!r} is not a set of rows with two labels")
        dtype = _DTYPES[self.dtype]
        d = int(tensors["shape"][1])
        rows = Csr(tensors["crow"], tensors["col"], tensors["values"].to(dtype), d)
        return rows, tensors["labels"].to(dtype)


_DTYPES = {"float64": torch.float64, "float32": torch.float32}
