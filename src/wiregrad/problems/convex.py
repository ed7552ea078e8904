"""Logistic regression over the fixed rows of each worker: the problems of EF21, 3PC and AdaCGD."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pydantic
import torch
from torch.nn import functional

from wiregrad import data
from wiregrad.data import DataSet
from wiregrad.data.splits import FIXED, Remainder, contiguous
from wiregrad.errors import ConfigError
from wiregrad.layout import Layout
from wiregrad.problems.base import Evaluation, Problem, ProblemSpec, provenance, register
from wiregrad.rng import Seeds

SPARSE_BELOW = 0.15
"""Density under which a CSR product is faster than a dense one (measured: a9a yes, phishing no)."""


class Regulariser(NamedTuple):
    """r(x) and its gradient, both without the factor λ."""

    value: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor], torch.Tensor]


REGULARISERS = {
    # r(x) = Σ x²/(1 + x²) and 2x/(1 + x²)²
    "nonconvex": Regulariser(
        lambda x: (x.square() / (1 + x.square())).sum(), lambda x: 2 * x / (1 + x.square()).square()
    ),
    # r(x) = ‖x‖²/2 and x
    "l2": Regulariser(lambda x: x.square().sum() / 2, lambda x: x),
    "none": Regulariser(lambda x: x.new_zeros(()), torch.zeros_like),
}


class Rows(ABC):
    """The rows B `[m, d]` of one worker, each times its label, so that the margins are Bx."""

    m: int

    @abstractmethod
    def margins(self, x: torch.Tensor) -> torch.Tensor:
        """Bx `[m]`."""

    @abstractmethod
    def gradient(self, x: torch.Tensor, onto: torch.Tensor, out: torch.Tensor) -> None:
        """∇ mean log(1 + exp(−Bx)) = −Bᵀσ(−Bx)/m, plus `onto` `[d]`, into `out` `[d]`."""

    @abstractmethod
    def batch(self, chosen: torch.Tensor) -> Dense:
        """The rows `chosen` (int64)."""


@dataclass(frozen=True)
class Dense(Rows):
    """Rows as a dense matrix."""

    matrix: torch.Tensor

    @property
    def m(self) -> int:  # type: ignore[override]
        """Number of rows."""
        return len(self.matrix)

    def margins(self, x: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self.matrix @ x

    def gradient(self, x: torch.Tensor, onto: torch.Tensor, out: torch.Tensor) -> None:
        """See Rows."""
        weights = torch.sigmoid(-self.margins(x))
        torch.addmv(onto, self.matrix.T, weights, alpha=-1.0 / self.m, out=out)

    def batch(self, chosen: torch.Tensor) -> Dense:
        """See Rows."""
        return Dense(self.matrix[chosen])


class Csr(NamedTuple):
    """A sparse matrix `[m, d]` by rows: `crow` `[m + 1]`, `col` and `values` `[nnz]`."""

    crow: torch.Tensor
    col: torch.Tensor
    values: torch.Tensor
    d: int

    def to(self, device: torch.device) -> Csr:
        """The same on `device`."""
        return Csr(self.crow.to(device), self.col.to(device), self.values.to(device), self.d)

    def take(self, rows: torch.Tensor) -> Csr:
        """The rows with these numbers (int64)."""
        starts = self.crow[rows]
        counts = self.crow[rows + 1] - starts
        crow = functional.pad(counts.cumsum(0), (1, 0))
        shift = (starts - crow[:-1]).repeat_interleave(counts)
        place = torch.arange(len(shift), device=shift.device) + shift
        return Csr(crow, self.col[place], self.values[place], self.d)

    def dense(self) -> torch.Tensor:
        """`[m, d]`."""
        matrix = self.values.new_zeros(len(self.crow) - 1, self.d)
        matrix[self.row_numbers(), self.col] = self.values
        return matrix

    def row_numbers(self) -> torch.Tensor:
        """The row of each value, `[nnz]`."""
        m = len(self.crow) - 1
        return torch.arange(m, device=self.crow.device).repeat_interleave(self.crow.diff())


class Sparse(Rows):
    """Rows in CSR, and their transpose."""

    def __init__(self, rows: Csr) -> None:
        self.m = len(rows.crow) - 1
        self._rows = rows
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            # torch calls CSR a beta feature, once a process
            self._matrix = torch.sparse_csr_tensor(*rows[:3], (self.m, rows.d))
            by_column = self._matrix.to_sparse_csc()
            self._transposed = torch.sparse_csr_tensor(
                by_column.ccol_indices(),
                by_column.row_indices(),
                by_column.values(),
                (rows.d, self.m),
            )

    def margins(self, x: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self._matrix @ x

    def gradient(self, x: torch.Tensor, onto: torch.Tensor, out: torch.Tensor) -> None:
        """See Rows."""
        weights = torch.sigmoid(-self.margins(x))
        torch.add(onto, self._transposed @ weights, alpha=-1.0 / self.m, out=out)

    def batch(self, chosen: torch.Tensor) -> Dense:
        """See Rows."""
        return Dense(self._rows.take(chosen).dense())


class Logistic(Problem):
    """f = mean of the workers' f_i(x) = mean log(1 + exp(−y aᵀx)) + λ r(x) over a worker's rows.

    In the full batch gradients are exact; with a batch of b a worker draws b of its rows
    independently and uniformly, with replacement, from the generator ``worker/i/step/t``.
    """

    def __init__(self, spec: LogisticSpec, parts: list[Rows], seeds: Seeds, d: int) -> None:
        self._spec, self._parts, self._seeds = spec, parts, seeds
        self._regulariser = REGULARISERS[spec.regulariser]
        self.layout = Layout.flat(d)
        self.workers = len(parts)
        self.train_size = sum(part.m for part in parts)
        full = spec.batch == "full"
        self.samples_per_step = self.train_size if full else self.workers * int(spec.batch)
        self.steps_per_epoch = max(1, self.train_size // self.samples_per_step)

    def x0(self) -> torch.Tensor:
        """Zeros, or N(0, I) from the stream ``init``."""
        zeros = torch.zeros(self.dim, dtype=self.dtype)
        if self._spec.x0 == "normal":
            zeros.normal_(generator=self._seeds.generator("init"))
        return zeros.to(self.device)

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem."""
        regular = self._regular(x)
        for row, worker in zip(out, workers, strict=True):
            self._batch(worker, step).gradient(x, regular, row)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """The objective and the norm of its exact gradient."""
        regular, row = self._regular(x), torch.empty_like(x)
        loss, gradient = x.new_zeros(()), torch.zeros_like(x)
        for part in self._parts:
            loss -= functional.logsigmoid(part.margins(x)).mean()
            part.gradient(x, regular, row)
            gradient += row
        value = loss / self.workers + self._spec.lam * self._regulariser.value(x)
        return Evaluation(
            loss_train=value.item(),
            grad_norm=torch.linalg.vector_norm(gradient / self.workers).item(),
        )

    def _regular(self, x: torch.Tensor) -> torch.Tensor:
        return self._spec.lam * self._regulariser.gradient(x)

    def _batch(self, worker: int, step: int) -> Rows:
        part = self._parts[worker]
        if self._spec.batch == "full":
            return part
        generator = self._seeds.generator("worker", worker, "step", step)
        chosen = torch.randint(part.m, (self._spec.batch,), generator=generator)
        return part.batch(chosen.to(self.device))


@register("logistic")
@dataclass(frozen=True, kw_only=True)
class LogisticSpec(ProblemSpec):
    """Logistic regression on a binary LIBSVM set; x⁰ = 0 and everything exact by default.

    `split` contiguous gives each worker the same number of rows in their order, and the remainder
    to the last one (or drops it); shuffled permutes the rows first, the same way in every run.
    """

    data: str = "phishing"
    regulariser: Literal["nonconvex", "l2", "none"] = "nonconvex"
    lam: pydantic.NonNegativeFloat = 0.1
    split: Literal["contiguous", "shuffled"] = "contiguous"
    remainder: Remainder = "last"
    batch: Literal["full"] | pydantic.PositiveInt = "full"
    dtype: Literal["float64", "float32"] = "float64"
    x0: Literal["zeros", "normal"] = "zeros"

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> Logistic:
        """See ProblemSpec."""
        return self.bind(data.load(self.data), workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> Logistic:
        """The problem on this data set, whatever `data` says.

        Raises ConfigError where the set is none of two labels or has too few rows.
        """
        dtype = {"float64": torch.float64, "float32": torch.float32}[self.dtype]
        rows = signed_rows(found.tensors, self.data, dtype)
        order = torch.arange(len(rows.crow) - 1)
        if self.split == "shuffled":
            order = torch.randperm(len(order), generator=FIXED.generator("data", "split"))
        sparse = len(rows.values) < SPARSE_BELOW * len(order) * rows.d
        parts: list[Rows] = []
        for part in contiguous(len(order), workers, self.remainder):
            mine = rows.take(order[part]).to(device)
            parts.append(Sparse(mine) if sparse else Dense(mine.dense()))
        problem = Logistic(self, parts, seeds, rows.d)
        problem.device, problem.dtype = device, dtype
        problem.provenance = provenance(found)
        return problem


def signed_rows(tensors: Mapping[str, torch.Tensor], name: str, dtype: torch.dtype) -> Csr:
    """The matrix `[N, d]` with rows y_j a_j of a binary set, y = ±1.

    Raises ConfigError naming the set where it is another kind of data.
    """
    if "crow" not in tensors or not bool((tensors["labels"].abs() == 1).all()):
        raise ConfigError(f"problem.data: {name!r} is not a set of rows with two labels")
    crow, labels = tensors["crow"], tensors["labels"]
    signs = labels.repeat_interleave(crow.diff())
    values = (tensors["values"] * signs).to(dtype)
    return Csr(crow, tensors["col"], values, int(tensors["shape"][1]))
