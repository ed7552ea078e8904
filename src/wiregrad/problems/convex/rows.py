"""Problems over the rows of a LIBSVM set: which worker has which rows, and the configuration."""

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
from wiregrad.problems.convex.csr import Csr, Dense, Rows, faster_form


@dataclass(frozen=True)
class WorkerSamples:
    """The samples of all n workers, those of one worker after the other."""

    rows: Csr
    """`[m, d]`."""
    labels: torch.Tensor
    """`[m]`, of the float type of `rows`."""
    bounds: torch.Tensor
    """First row of each worker, and the row after its last, int64 `[n, 2]`."""

    def __len__(self) -> int:
        """Number of workers, n."""
        return len(self.bounds)

    def slice(self, worker: int) -> slice:
        """The rows of one worker."""
        first, end = self.bounds[worker].tolist()
        return slice(first, end)

    @property
    def sizes(self) -> torch.Tensor:
        """Number of rows of each worker, int64 `[n]`."""
        return self.bounds.diff(dim=1)[:, 0]


class RowProblem(Convex):
    """f_i(x) = λ r(x) + the mean, over the rows (a, y) of worker i, of a loss of aᵀx and y.

    f is the mean of the f_i, or with `objective` "sum" their sum. This changes evaluations only, by
    a factor of n: gradients are those of the f_i, and the ``batch`` methods and constants those of
    the mean, either way. With a batch of b rows a worker draws b of its rows uniformly with
    replacement, from the generator ``worker/i/step/t``; otherwise gradients are exact.
    """

    curvature_bound: ClassVar[float]
    """A bound on the second derivative of the loss."""
    _spec: RowSpec

    def __init__(
        self, samples: WorkerSamples, spec: RowSpec, seeds: Seeds, device: torch.device
    ) -> None:
        self._samples, self._spec, self._seeds = samples, spec, seeds
        self.device, self.dtype = device, _DTYPES[spec.dtype]
        self.layout = Layout.flat(samples.rows.d)
        self.workers = len(samples)
        self.train_size = samples.rows.m
        self.stochastic = spec.batch != "full"
        self.samples_per_step = (
            self.workers * int(spec.batch) if self.stochastic else self.train_size
        )
        self.steps_per_epoch = max(1, self.train_size // self.samples_per_step)

    def x0(self) -> torch.Tensor:
        """See Problem."""
        return self.starting_point(self._seeds)

    def starting_point(self, seeds: Seeds) -> torch.Tensor:
        """See Convex: zeros, or drawn from N(0, I) by the stream ``init``."""
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
            part = Dense(self._signed_rows.take(chosen).dense().to(self.device))
            weights = self._slope(part.times(x[None]), self._targets(chosen))
            row.copy_((regular + part.transposed_times(weights) / len(chosen))[0])

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem."""
        found = super().evaluate(x)
        if self._spec.objective == "mean":
            return found
        n = self.workers
        return replace(found, loss_train=n * found.loss_train, grad_norm=n * found.grad_norm)

    def hessian_times(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """∇²f(x) v for each row of v `[R, d]`, at `x` `[d]`; f is the mean of the f_i."""
        total = self.workers * self._regular_curvature(x) * v
        for matrix, size in zip(self._matrices, self._samples.sizes.tolist(), strict=True):
            weights = self._curvature(matrix.times(x[None])) * matrix.times(v)
            total += matrix.transposed_times(weights) / size
        return total / self.workers

    def worker_matrix(self, worker: int) -> Csr:
        """The rows `[m_i, d]` of a worker; where labels are signs, each row times its label."""
        return self._signed_rows.slice(self._samples.slice(worker))

    @cached_property
    def _matrices(self) -> list[Rows]:
        """The matrices of all workers in the form that multiplies fastest, on the device."""
        own = (self.worker_matrix(worker) for worker in range(self.workers))
        return [faster_form(matrix.to(self.device)) for matrix in own]

    @property
    @abstractmethod
    def _signed_rows(self) -> Csr:
        """All rows `[m, d]`; where labels are signs, each row times its label."""

    @abstractmethod
    def _targets(self, rows: torch.Tensor | slice) -> torch.Tensor | None:
        """The labels `[m, 1]` of these rows on the device, or None where the rows contain them."""

    @abstractmethod
    def _slope(self, products: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        """The derivative of the loss with respect to aᵀx, at aᵀx = `products` `[m, R]`."""

    @abstractmethod
    def _curvature(self, products: torch.Tensor) -> torch.Tensor:
        """The second derivative of the loss with respect to aᵀx, at `products` `[m, R]`."""

    @abstractmethod
    def _regular_curvature(self, x: torch.Tensor) -> torch.Tensor:
        """λ∂²r/∂x_j² `[d]` at `x` `[d]`; r is a sum over coordinates."""

    @abstractmethod
    def _regular_gradient(self, x: torch.Tensor) -> torch.Tensor:
        """λ∇r(x) `[R, d]` at `x` `[R, d]`."""

    def _gradients_in_torch(
        self, x: torch.Tensor, out: torch.Tensor, workers: Sequence[int]
    ) -> torch.Tensor:
        """Write the gradients of m `workers` at `x` `[R, d]` to `out` `[R, m, d]`, by torch."""
        regular = self._regular_gradient(x)
        for place, worker in enumerate(workers):
            matrix, inside = self._matrices[worker], self._samples.slice(worker)
            weights = self._slope(matrix.times(x), self._targets(inside))
            torch.add(
                regular,
                matrix.transposed_times(weights),
                alpha=1 / (inside.stop - inside.start),
                out=out[:, place],
            )
        return out

    def _draw(self, worker: int, step: int) -> torch.Tensor:
        inside = self._samples.slice(worker)
        generator = self._seeds.generator("worker", worker, "step", step)
        size = (int(self._spec.batch),)
        chosen = torch.randint(inside.stop - inside.start, size, generator=generator)
        return chosen.add_(inside.start)


@dataclass(frozen=True, kw_only=True)
class RowSpec(ProblemSpec):
    """A LIBSVM set that is split among the workers; by default x⁰ = 0 and gradients are exact.

    With `split` "contiguous" every worker has the same number of rows, in the order of the set;
    "shuffled" permutes the rows first; "dirichlet" gives the workers unequal shares of the labels.
    A split is the same in every run.
    """

    task: ClassVar[str]

    data: str = "phishing"
    """A LIBSVM set of the catalogue, or a name of `wiregrad.data.generated`."""
    lam: pydantic.NonNegativeFloat = 0.1
    """λ, the weight of the regulariser."""
    split: Literal["contiguous", "shuffled", "dirichlet"] = "contiguous"
    alpha: pydantic.PositiveFloat | None = None
    """With `split` dirichlet: the smaller, the more unequal are the workers' labels."""
    remainder: Remainder = "last"
    """Rows that are left over by equal shares: the last worker's, or dropped."""
    batch: Literal["full"] | pydantic.PositiveInt = "full"
    """Rows that a worker draws in one round, or all of its rows."""
    dtype: Literal["float64", "float32"] = "float64"
    x0: Start = "zeros"
    """The starting point: 0, or drawn from N(0, I)."""
    objective: Literal["mean", "sum"] = "mean"
    """Whether f is the mean or the sum of the workers' f_i."""

    def __post_init__(self) -> None:
        if (self.alpha is not None) != (self.split == "dirichlet"):
            raise ValueError("alpha: required with split dirichlet, and allowed only there")

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> RowProblem:
        """See ProblemSpec."""
        return self.bind(data.load(self.data), workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> RowProblem:
        """The problem on the data set `found`, in place of `data`.

        Raises ConfigError where the set has no rows with labels of the right kind, or too few rows.
        """
        problem = self._problem_on(self._assign(found.tensors, workers), seeds, device)
        problem.provenance = provenance(found)
        return problem

    @abstractmethod
    def _problem_on(self, samples: WorkerSamples, seeds: Seeds, device: torch.device) -> RowProblem:
        """The problem over these samples."""

    def _assign(self, tensors: dict[str, torch.Tensor], workers: int) -> WorkerSamples:
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
        bounds = torch.stack([starts, ends], 1).contiguous()
        return WorkerSamples(rows.take(kept), labels[kept], bounds)

    def _rows(self, tensors: dict[str, Any]) -> tuple[Csr, torch.Tensor]:
        """The matrix and the labels of the set; raises ConfigError where it has none."""
        if "crow" not in tensors:
            raise ConfigError(f"problem.data: {self.data!r} is not a set of rows with labels")
        if self.task == "binary" and not bool((tensors["labels"].abs() == 1).all()):
            raise ConfigError(f"problem.data: {self.data!r} is not a set of rows with two labels")
        dtype = _DTYPES[self.dtype]
        d = int(tensors["shape"][1])
        rows = Csr(tensors["crow"], tensors["col"], tensors["values"].to(dtype), d)
        return rows, tensors["labels"].to(dtype)


_DTYPES = {"float64": torch.float64, "float32": torch.float32}
