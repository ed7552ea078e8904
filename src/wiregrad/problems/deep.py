"""What the deep problems share: flat parameters, a gradient per worker, evaluation.

The parameters of the network live in one flat vector: its tensors are views into the given x. One
pass serves many workers (see `wiregrad.problems.models.stacked`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pydantic
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from wiregrad import data
from wiregrad.data import DataSet
from wiregrad.data.splits import EpochBatches, fixed_order, held_out
from wiregrad.errors import ConfigError
from wiregrad.layout import Layout
from wiregrad.problems.base import NAN, Evaluation, Problem, ProblemSpec, provenance
from wiregrad.problems.models.layers import Dropout
from wiregrad.rng import Seeds


class Samples(Protocol):
    """A labelled set from which batches are taken."""

    eval_batch: int
    """Samples that are evaluated at a time."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(
        self, rows: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and labels `[b]` (int64) of `rows`; `generator` (on the CPU) augments them."""

    def in_order(self, rows: torch.Tensor) -> torch.Tensor:
        """The same rows in the order in which evaluating them is cheapest."""


@dataclass(frozen=True)
class Splits:
    """The sets of a problem: `train` and `test`, and which rows of `train` are for what."""

    train: Samples
    test: Samples
    train_rows: torch.Tensor
    valid_rows: torch.Tensor
    """Empty, or the rows held out of training for tuning."""


class DeepProblem(Problem):
    """A network with cross-entropy; metric is accuracy.

    Gradients are those of the mean loss over a worker's batch. Dropout and augmentation draw from
    generators of the worker and the step; batch-norm sees one worker's batch. Batch-norm
    statistics: evaluation uses worker 0's running statistics, which are the problem's only state;
    those of other workers are never kept.
    """

    dtype = torch.float32

    def __init__(
        self,
        model: nn.Module,
        splits: Splits,
        *,
        workers: int,
        batch: int,
        eval_train: int | None,
        eval_test: int | None,
        per_pass: int | None,
        seeds: Seeds,
        device: torch.device,
        provenance: dict[str, str],
    ) -> None:
        named = list(model.named_parameters())
        self._x0 = torch.cat([p.detach().reshape(-1) for _, p in named]).to(device)
        self._model = model.to(device)
        self._stacked = getattr(model, "stacked", False)
        self._per_pass = per_pass if self._stacked else 1
        self._norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._dropouts = [m for m in model.modules() if isinstance(m, Dropout)]
        self._splits = splits
        self._batches = EpochBatches(len(splits.train_rows), workers, batch, seeds)
        self._seeds = seeds
        self._eval = {
            "train": (
                splits.train,
                splits.train.in_order(_first("eval_train", splits.train_rows, eval_train)),
            ),
            "test": (
                splits.test,
                splits.test.in_order(_first("eval_test", fixed_order(len(splits.test)), eval_test)),
            ),
            "valid": (splits.train, splits.train.in_order(splits.valid_rows)),
        }
        self.layout = Layout(tuple(n for n, _ in named), tuple(tuple(p.shape) for _, p in named))
        self.workers, self.device, self.provenance = workers, device, provenance
        self.train_size = self._batches.size
        self.samples_per_step = self._batches.per_step
        self.steps_per_epoch = self._batches.per_epoch

    def x0(self) -> torch.Tensor:
        """Default initialisation of the network by torch, from the stream `init`."""
        return self._x0.clone()

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem; workers go through the network `per_pass` at a time."""
        self._model.train()
        together = self._per_pass or max(1, len(workers))
        for start in range(0, len(workers), together):
            part = slice(start, start + together)
            self._pass(x.detach(), step, out[part], workers[part])

    def _pass(self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]) -> None:
        """One forward and one backward pass for the gradients of some workers."""
        inputs, labels = self._joined(workers, step)
        self._prepare(workers, step)
        with torch.enable_grad():
            weights = {name: w.requires_grad_() for name, w in self._weights(x, len(workers))}
            logits = functional_call(self._model, weights, (inputs,))
            loss = functional.cross_entropy(logits, labels, reduction="sum") / self._batches.batch
            grads = torch.autograd.grad(loss, list(weights.values()))
        for grad, (_, _, where) in zip(grads, self.layout.slices(), strict=True):
            out[:, where] = grad.reshape(len(workers), -1)

    def _weights(self, x: torch.Tensor, m: int) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors of the network as views into `x`, stacked for m workers if it takes that."""
        for name, shape, where in self.layout.slices():
            tensor = x[where].view(shape)
            yield name, tensor.expand(m, *shape).detach() if self._stacked else tensor.detach()

    def _joined(self, workers: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batches of `workers`, one after the other."""
        each = [
            self._splits.train.batch(
                self._splits.train_rows[self._batches.rows(worker, step)],
                self._seeds.generator("worker", worker, "step", step, "augment"),
            )
            for worker in workers
        ]
        return torch.cat([inputs for inputs, _ in each]), torch.cat([labels for _, labels in each])

    def _prepare(self, workers: Sequence[int], step: int) -> None:
        """Give the layers with randomness or state what is these workers'."""
        if self._dropouts:
            generators = [
                self._seeds.generator("worker", i, "step", step, "dropout", device=self.device)
                for i in workers
            ]
            for dropout in self._dropouts:
                dropout.generators = generators
        for norm in self._norms:
            norm.track_running_stats = list(workers) == [0]

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem. In evaluation mode: dropout off, running statistics of worker 0."""
        self._model.eval()
        for norm in self._norms:
            norm.track_running_stats = True
        weights = {name: x[where].view(shape) for name, shape, where in self.layout.slices()}
        with torch.no_grad():
            measured = {name: self._score(weights, *which) for name, which in self._eval.items()}
        return Evaluation(
            loss_train=measured["train"][0],
            loss_test=measured["test"][0],
            metric_test=measured["test"][1],
            loss_valid=measured["valid"][0],
            metric_valid=measured["valid"][1],
        )

    def _score(
        self, weights: dict[str, torch.Tensor], samples: Samples, rows: torch.Tensor
    ) -> tuple[float, float]:
        """Mean loss and accuracy, summed in float64; NaN for no rows."""
        if len(rows) == 0:
            return NAN, NAN
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for chunk in torch.split(rows, samples.eval_batch):
            inputs, labels = samples.batch(chunk)
            logits = functional_call(self._model, weights, (inputs,))
            loss += functional.cross_entropy(logits, labels, reduction="sum")
            right += (logits.argmax(1) == labels).sum()
        return loss.item() / len(rows), right.item() / len(rows)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Worker 0's batch-norm statistics."""
        return {name: buffer.clone() for name, buffer in self._model.named_buffers()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from `state`."""
        buffers = dict(self._model.named_buffers())
        if buffers.keys() != state.keys():
            raise ConfigError(
                f"checkpoint holds problem state {sorted(state)}, expected {sorted(buffers)}"
            )
        for name, buffer in buffers.items():
            buffer.copy_(state[name])


def _first(key: str, rows: torch.Tensor, limit: int | None) -> torch.Tensor:
    if limit is not None and limit > len(rows):
        raise ConfigError(f"problem.{key}: {limit} is above the {len(rows)} samples there are")
    return rows[:limit]


@dataclass(frozen=True, kw_only=True)
class DeepSpec(ProblemSpec):
    """Configuration that the deep problems share."""

    data: str
    """Name of a data set, or a preference list ``a|b``."""
    batch: pydantic.PositiveInt
    """Samples a worker reads in one round."""
    train_limit: pydantic.PositiveInt | None = None
    """Train on the first so many of a fixed permutation; the same in every run."""
    eval_train: pydantic.PositiveInt | None = None
    """Measure the train loss on a fixed part of the training set of this size; null is all."""
    eval_test: pydantic.PositiveInt | None = None
    """Measure the test loss and accuracy on a fixed part of the test set of this size."""
    valid_fraction: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Part of the training set that is held out, for tuning."""
    per_pass: pydantic.PositiveInt | None = None
    """Workers whose gradients come from one pass through the network; null is all at hand.

    With 1 a worker's gradient has the same bits whoever computes it; with more it is faster, and
    the same to rounding. Networks with batch-norm take 1 whatever is said here.
    """

    @abstractmethod
    def model(self) -> nn.Module:
        """The network, freshly initialised from the global generator."""

    @abstractmethod
    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """The set `split` ("train" or "test") from a data set's tensors, on their device."""

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """See ProblemSpec."""
        return self.bind(data.load(self.data), workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """The problem on this data set, whatever `data` says. Raises ConfigError."""
        tensors = {name: tensor.to(device) for name, tensor in found.tensors.items()}
        train, test = self.samples(tensors, "train"), self.samples(tensors, "test")
        train_rows, valid_rows = held_out(len(train), self.train_limit, self.valid_fraction)
        with seeds.scope("init"):
            model = self.model()
        return DeepProblem(
            model,
            Splits(train, test, train_rows, valid_rows),
            workers=workers,
            batch=self.batch,
            eval_train=self.eval_train,
            eval_test=self.eval_test,
            per_pass=self.per_pass,
            seeds=seeds,
            device=device,
            provenance=provenance(found),
        )
