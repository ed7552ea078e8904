"""What the deep problems share: flat parameters, a gradient per worker, evaluation.

The parameters of the network are views into one flat vector. One pass serves several workers, and
their gradients are written where they are wanted (see `wiregrad.problems.models.stacked`).
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
from wiregrad.problems.models.stacked import collecting
from wiregrad.problems.norms import Policy, Statistics
from wiregrad.problems.sets import Samples, Splits

__all__ = ["DeepProblem", "DeepSpec", "Samples", "Splits", "joined"]

Tier = Literal["float32", "bfloat16"]


class DeepProblem(Divisible):
    """A network with cross-entropy; metric is accuracy.

    Gradients are those of the mean loss over a worker's batch, with respect to the parameters that
    require one: d counts no others. A network whose samples have several labels each (the tokens
    of a sequence) says how many in its attribute `targets`; means are over labels then. Dropout and
    augmentation draw from generators of the worker and the step; batch-norm sees one worker's
    batch. Its running statistics (`wiregrad.problems.norms`) are the problem's only state.
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
        gradients: Tier,
        statistics: Policy,
        seeds: Seeds,
        device: torch.device,
        provenance: dict[str, str],
    ) -> None:
        self._model = model.to(device)
        named = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self._parameters = list(named.values())
        self._x0 = torch.cat([p.detach().reshape(-1) for p in named.values()])
        self.layout = Layout(tuple(named), tuple(tuple(p.shape) for p in named.values()))
        self.settle(self._x0.clone())
        together: int | None = getattr(model, "together", None)
        self._stacked = together is not None
        self._targets: int = getattr(model, "targets", 1)
        self._per_pass = 1 if together is None else per_pass or joined(workers, together)
        self._low = gradients == "bfloat16"
        self._statistics = Statistics(self._model, workers, statistics)
        self.joint_state = statistics == "averaged"
        self._dropouts = [m for m in model.modules() if isinstance(m, Dropout)]
        self._splits = splits
        self._batches = EpochBatches(len(splits.train_rows), workers, batch, seeds)
        self._seeds = seeds
        self._eval = splits.chunks(eval_train, eval_test)
        self.workers, self.device, self.provenance = workers, device, provenance
        self.train_size = self._batches.size
        self.samples_per_step = self._batches.per_step
        self.steps_per_epoch = self._batches.per_epoch
        self.parts = len(self._eval)

    def x0(self) -> torch.Tensor:
        """Default initialisation of the network by torch, from the stream `init`."""
        return self._x0.clone()

    def settle(self, x: torch.Tensor) -> None:
        """See Divisible: the parameters of the network become views into `x`."""
        self._x = x
        views = (x[where].view(shape) for _, shape, where in self.layout.slices())
        for parameter, view in zip(self._parameters, views, strict=True):
            parameter.data = view

    def _go_to(self, x: torch.Tensor) -> None:
        if x.data_ptr() != self._x.data_ptr():
            self._x.copy_(x)

    def portions(self) -> list[range]:
        """See Divisible: the workers that go through the network in one pass."""
        starts = range(0, self.workers, self._per_pass)
        return [range(s, min(s + self._per_pass, self.workers)) for s in starts]

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem; those of a portion go through the network together."""
        self._go_to(x)
        self._model.train()
        start = 0
        for _, portion in groupby(workers, key=lambda worker: worker // self._per_pass):
            part = list(portion)
            self._pass(step, out[start : start + len(part)], part)
            start += len(part)

    def _pass(self, step: int, out: torch.Tensor, workers: Sequence[int]) -> None:
        """One forward and one backward pass for the gradients of some workers."""
        inputs, labels = self._joined(workers, step)
        self._prepare(workers, step)
        with torch.enable_grad(), self._tier(), collecting(self._model, self._rows(out)):
            logits = self._model(inputs)
            loss = functional.cross_entropy(logits, labels, reduction="sum")
            loss = loss / (self._batches.batch * self._targets)
            grads = torch.autograd.grad(loss, self._parameters, allow_unused=self._stacked)
        for grad, (_, _, where) in zip(grads, self.layout.slices(), strict=True):
            if grad is not None:
                out[0, where] = grad.reshape(-1)

    def _tier(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._low)

    def _rows(self, out: torch.Tensor) -> dict[str, torch.Tensor]:
        """Where a stacked network puts the gradients of its parameters."""
        return {
            name: out[:, where].view(-1, *shape)
            for name, shape, where in self.layout.slices()
            if self._stacked
        }

    def _joined(self, workers: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batches of `workers`, one after the other."""
        rows = torch.cat([self._batches.rows(worker, step) for worker in workers])
        augment = [self._seeds.generator("worker", i, "step", step, "augment") for i in workers]
        return self._splits.train.batch(self._splits.train_rows[rows], augment)

    def _prepare(self, workers: Sequence[int], step: int) -> None:
        """Give the layers with randomness or state what is these workers'."""
        if self._dropouts:
            generators = [
                self._seeds.generator("worker", i, "step", step, "dropout", device=self.device)
                for i in workers
            ]
            for dropout in self._dropouts:
                dropout.generators = generators
        self._statistics.train(workers)

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem. In evaluation mode: dropout off, running statistics by their policy."""
        scores = torch.empty(self.parts, 2, dtype=torch.float64, device=self.device)
        for part in range(self.parts):
            self.score(x, part, scores[part])
        return self.evaluation(scores)

    def score(self, x: torch.Tensor, part: int, out: torch.Tensor) -> None:
        """See Divisible: the sum of the loss over one chunk, and the number classified right."""
        self._go_to(x)
        self._model.eval()
        self._statistics.evaluate()
        name, rows = self._eval[part]
        samples = self._splits.test if name == "test" else self._splits.train
        with torch.no_grad():
            inputs, labels = samples.batch(rows)
            logits = self._model(inputs)
            out[0] = functional.cross_entropy(logits, labels, reduction="sum")
            out[1] = (logits.argmax(1) == labels).sum()

    def evaluation(self, scores: torch.Tensor) -> Evaluation:
        """See Divisible: mean losses and accuracies, NaN for a set without rows."""
        sums = {name: [0.0, 0.0, 0] for name in ("train", "test", "valid")}
        for (name, rows), (loss, right) in zip(self._eval, scores.tolist(), strict=True):
            total, count = sums[name], len(rows) * self._targets
            total[0], total[1], total[2] = total[0] + loss, total[1] + right, total[2] + count
        means = {k: (a / n, b / n) if n else (NAN, NAN) for k, (a, b, n) in sums.items()}
        return Evaluation(
            loss_train=means["train"][0],
            loss_test=means["test"][0],
            metric_test=means["test"][1],
            loss_valid=means["valid"][0],
            metric_valid=means["valid"][1],
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Batch-norm statistics."""
        return self._statistics.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from `state`."""
        self._statistics.load_state_dict(state)

    def share_state(self, state: dict[str, torch.Tensor]) -> None:
        """See Divisible."""
        self._statistics.rows = state


def joined(workers: int, together: int) -> int:
    """Workers in one pass where `per_pass` does not say it: `together` of 16, fewer of fewer.

    It depends on the run alone, so that the bits do not depend on how many processes share passes.
    """
    return max(1, min(together, workers * together // 16))


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
    """Workers whose gradients come from one pass through the network.

    Null is what was measured to be fastest: of 16 workers 4 (LSTM 8), of fewer in proportion.
    With 1 a worker's gradient has the same bits whoever computes it; with more it is faster, and
    the same to rounding. Networks with batch-norm take 1 whatever is said here.
    """
    gradients: Tier = "float32"
    """Float type in which gradients are computed; they are handed over as float32 either way.

    `bfloat16` is mixed precision (torch's autocast): faster where the hardware has it, and another
    result. Evaluation is in float32.
    """

    @abstractmethod
    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """The network for a data set's tensors, freshly initialised from the global generator."""

    def whose_statistics(self) -> Policy:
        """Whose batch-norm statistics are used in evaluation."""
        return "worker_0"

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
            statistics=self.whose_statistics(),
            seeds=seeds,
            device=device,
            provenance=provenance(found),
        )
