"""Neural networks as problems: flat parameters, one gradient per worker, evaluation.

The parameters of the network are views into one flat vector. One pass through the network can
serve several workers; their gradients are written directly to the rows of the output (see
`wiregrad.problems.models.per_worker`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import pydantic
import torch
from torch import nn
from torch.nn import functional

from wiregrad import data
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.data import DataSet
from wiregrad.data.splits import EpochBatches, held_out
from wiregrad.problems.base import NAN, Divisible, Evaluation, ProblemSpec, provenance
from wiregrad.problems.models.layers import Dropout
from wiregrad.problems.models.per_worker import gradients_into
from wiregrad.problems.norms import Policy, Statistics
from wiregrad.problems.samples import Samples, Splits

GradientType = Literal["float32", "bfloat16"]


class DeepProblem(Divisible):
    """A network with the cross-entropy loss; the metric is accuracy.

    A gradient is that of the mean loss over a worker's batch. x holds the parameters that require
    a gradient, and d counts no others. Dropout and augmentation draw from generators of the worker
    and the step. Batch-norm sees the batch of one worker; its running statistics
    (`wiregrad.problems.norms`) are the only state of the problem.

    A network may have two attributes: `targets`, the number of labels of a sample (the tokens of a
    sequence), over which losses are then averaged too; and `per_pass_of_16`, where its layers are
    those of `wiregrad.problems.models.per_worker`.
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
        gradients: GradientType,
        statistics: Policy,
        seeds: Seeds,
        device: torch.device,
        provenance: dict[str, str],
    ) -> None:
        self.model = model.to(device)
        named = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self._parameters = list(named.values())
        self._x0 = torch.cat([p.detach().reshape(-1) for p in named.values()])
        self.layout = Layout(tuple(named), tuple(tuple(p.shape) for p in named.values()))
        self.bind_parameters(self._x0.clone())
        of_16: int | None = getattr(model, "per_pass_of_16", None)
        self._writes_rows = of_16 is not None
        self._targets: int = getattr(model, "targets", 1)
        self._per_pass = 1 if of_16 is None else per_pass or workers_per_pass(workers, of_16)
        self._low_precision = gradients == "bfloat16"
        self._statistics = Statistics(self.model, workers, statistics)
        self.joint_state = statistics == "averaged"
        self._dropouts = [m for m in model.modules() if isinstance(m, Dropout)]
        self.splits = splits
        self._batches = EpochBatches(len(splits.train_rows), workers, batch, seeds)
        self._seeds = seeds
        self._chunks = splits.chunks(eval_train, eval_test)
        self.workers, self.device, self.provenance = workers, device, provenance
        self.train_size = self._batches.size
        self.samples_per_step = self._batches.per_step
        self.steps_per_epoch = self._batches.per_epoch
        self.evaluation_chunks = len(self._chunks)

    def x0(self) -> torch.Tensor:
        """The default initialisation of the network, drawn from the stream ``init``."""
        return self._x0.clone()

    def bind_parameters(self, x: torch.Tensor) -> None:
        """See Divisible. The parameters of the network become views into `x`."""
        self._x = x
        views = (x[where].view(shape) for _, shape, where in self.layout.slices())
        for parameter, view in zip(self._parameters, views, strict=True):
            parameter.data = view

    def _move_to(self, x: torch.Tensor) -> None:
        if x.data_ptr() != self._x.data_ptr():
            self._x.copy_(x)

    def worker_groups(self) -> list[range]:
        """See Problem. A group goes through the network in one pass."""
        starts = range(0, self.workers, self._per_pass)
        return [range(s, min(s + self._per_pass, self.workers)) for s in starts]

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem. Those of one group are computed in one pass."""
        self._move_to(x)
        self.model.train()
        start = 0
        for _, group in groupby(workers, key=lambda worker: worker // self._per_pass):
            members = list(group)
            self._one_pass(step, out[start : start + len(members)], members)
            start += len(members)

    def _one_pass(self, step: int, out: torch.Tensor, workers: Sequence[int]) -> None:
        """Forward and backward once, for the gradients `[m, d]` of m workers."""
        inputs, labels = self._batch_of(workers, step)
        self._set_up_layers(workers, step)
        rows = self._rows_by_parameter(out)
        with torch.enable_grad(), self._autocast(), gradients_into(self.model, rows):
            logits = self.model(inputs)
            loss = functional.cross_entropy(logits, labels, reduction="sum")
            loss = loss / (self._batches.batch * self._targets)
            grads = torch.autograd.grad(loss, self._parameters, allow_unused=self._writes_rows)
        for grad, (_, _, where) in zip(grads, self.layout.slices(), strict=True):
            if grad is not None:
                out[0, where] = grad.reshape(-1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._low_precision)

    def _rows_by_parameter(self, out: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views `[m, *shape]` into `out`, to which the layers of the network write; or none."""
        return {
            name: out[:, where].view(-1, *shape)
            for name, shape, where in self.layout.slices()
            if self._writes_rows
        }

    def _batch_of(self, workers: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and labels of the batches of `workers`, one after the other."""
        rows = torch.cat([self._batches.rows(worker, step) for worker in workers])
        augment = [self._seeds.generator("worker", i, "step", step, "augment") for i in workers]
        return self.splits.train.batch(self.splits.train_rows[rows], augment)

    def _set_up_layers(self, workers: Sequence[int], step: int) -> None:
        """Give the layers with randomness or state the generators and statistics of `workers`."""
        if self._dropouts:
            generators = [
                self._seeds.generator("worker", i, "step", step, "dropout", device=self.device)
                for i in workers
            ]
            for dropout in self._dropouts:
                dropout.generators = generators
        self._statistics.use_in_training(workers)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem. Dropout is off; batch-norm uses running statistics."""
        sums = torch.empty(self.evaluation_chunks, 2, dtype=torch.float64, device=self.device)
        for chunk in range(self.evaluation_chunks):
            self.evaluate_chunk(x, chunk, sums[chunk])
        return self.combine_chunks(sums)

    def evaluate_chunk(self, x: torch.Tensor, chunk: int, out: torch.Tensor) -> None:
        """See Divisible. The sum of the losses, and the number of correct predictions."""
        self._move_to(x)
        self.model.eval()
        self._statistics.use_in_evaluation()
        name, rows = self._chunks[chunk]
        samples = self.splits.test if name == "test" else self.splits.train
        with torch.no_grad():
            inputs, labels = samples.batch(rows)
            logits = self.model(inputs)
            out[0] = functional.cross_entropy(logits, labels, reduction="sum")
            out[1] = (logits.argmax(1) == labels).sum()

    def combine_chunks(self, sums: torch.Tensor) -> Evaluation:
        """See Divisible. Mean losses and accuracies; NaN for a set without rows."""
        totals = {name: [0.0, 0.0, 0] for name in ("train", "test", "valid")}
        for (name, rows), (loss, correct) in zip(self._chunks, sums.tolist(), strict=True):
            total, count = totals[name], len(rows) * self._targets
            total[0], total[1], total[2] = total[0] + loss, total[1] + correct, total[2] + count
        means = {k: (a / n, b / n) if n else (NAN, NAN) for k, (a, b, n) in totals.items()}
        return Evaluation(
            loss_train=means["train"][0],
            loss_test=means["test"][0],
            metric_test=means["test"][1],
            loss_valid=means["valid"][0],
            metric_valid=means["valid"][1],
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """See Problem: the running statistics of batch-norm."""
        return self._statistics.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """See Problem."""
        self._statistics.load_state_dict(state)

    def bind_state(self, state: dict[str, torch.Tensor]) -> None:
        """See Divisible."""
        self._statistics.rows = state


def workers_per_pass(workers: int, of_16: int) -> int:
    """Workers in one pass by default: `of_16` for 16 workers, and in proportion for fewer.

    It depends on the number of workers alone, so that the bits do not depend on the number of
    processes.
    """
    return max(1, min(of_16, workers * of_16 // 16))


@dataclass(frozen=True, kw_only=True)
class DeepSpec(ProblemSpec):
    """The configuration that all neural networks share."""

    data: str
    """Name of a data set, or a preference list ``a|b`` of which the first available is used."""
    batch: pydantic.PositiveInt
    """Samples a worker reads in one round."""
    train_limit: pydantic.PositiveInt | None = None
    """Train on a fixed part of the training set of this size (the same in every run); null is all.
    """
    eval_train: pydantic.PositiveInt | None = None
    """Measure the train loss on a fixed part of the training set of this size; null is all."""
    eval_test: pydantic.PositiveInt | None = None
    """Measure test loss and metric on a fixed part of the test set of this size; null is all."""
    valid_fraction: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Fraction of the training set that is held out for tuning."""
    per_pass: pydantic.PositiveInt | None = None
    """Workers whose gradients come from one pass through the network.

    Null is what was measured to be fastest: 4 for 16 workers (LSTM: 8), in proportion for fewer.
    With 1, a worker's gradient has the same bits whichever process computes it. More is faster,
    and gives the same gradient up to rounding. Networks with batch-norm always use 1.
    """
    gradients: GradientType = "float32"
    """Float type in which gradients are computed; the result is float32 either way.

    `bfloat16` is mixed precision (torch's autocast): faster on hardware that supports it, with
    different results. Evaluation is in float32.
    """

    @abstractmethod
    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """The network for a data set's tensors, freshly initialised from the global generator."""

    def statistics_policy(self) -> Policy:
        """Which batch-norm statistics an evaluation uses."""
        return "worker_0"

    @abstractmethod
    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """The set `split` ("train" or "test") from a data set's tensors, on their device."""

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """See ProblemSpec."""
        return self.bind(data.load(self.data), workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """The problem on the data set `found`, in place of `data`.

        Raises ConfigError where the set does not fit the network, or is too small.
        """
        tensors = {name: tensor.to(device) for name, tensor in found.tensors.items()}
        train, test = self.samples(tensors, "train"), self.samples(tensors, "test")
        train_rows, valid_rows = held_out(len(train), self.train_limit, self.valid_fraction)
        with seeds.scope("init"):
            model = self.network(tensors)
        return DeepProblem(
            model,
            Splits(train, test, train_rows, valid_rows),
            workers=workers,
            batch=self.batch,
            eval_train=self.eval_train,
            eval_test=self.eval_test,
            per_pass=self.per_pass,
            gradients=self.gradients,
            statistics=self.statistics_policy(),
            seeds=seeds,
            device=device,
            provenance=provenance(found),
        )
