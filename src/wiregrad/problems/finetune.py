"""Fine-tuning a pretrained encoder to classify sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pydantic
import torch
from torch import nn

from wiregrad import data
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.data import DataSet, tokens
from wiregrad.problems.base import register
from wiregrad.problems.deep import DeepProblem, DeepSpec
from wiregrad.problems.models import pretrained
from wiregrad.problems.samples import Samples

Name = Literal["sst2", "cola", "rte", "ag_news", "imdb"]


@dataclass(frozen=True)
class SentenceTask:
    """A classification task."""

    data: str
    """Name of its data set, or a preference list ``a|b``."""
    classes: int = 2


TASKS: dict[Name, SentenceTask] = {
    "sst2": SentenceTask("sst2"),
    "cola": SentenceTask("cola"),
    "rte": SentenceTask("rte"),
    "ag_news": SentenceTask("ag-news|ag-news-10k", classes=4),
    "imdb": SentenceTask("imdb-text"),
}


class Sentences:
    """Sentences, or pairs of sentences, as token ids.

    Args:
        ids: Token ids `[N, length]` (int32), padded at the end by -1.
        lengths: Numbers of tokens `[N]` (int64).
        labels: Classes `[N]` (int64).
        segments: For pairs `[N, length]`: 0 in the first sentence, 1 in the second.
    """

    eval_batch = 128

    def __init__(
        self,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        labels: torch.Tensor,
        segments: torch.Tensor | None = None,
    ) -> None:
        self._ids, self._lengths, self._labels, self._segments = ids, lengths, labels, segments

    def __len__(self) -> int:
        """Number of sentences or pairs."""
        return len(self._labels)

    def batch(
        self, rows: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See Samples. Ids int64 `[b, l]` and labels `[b]`; nothing is augmented.

        l is the length of the longest sentence of the batch. For pairs the inputs are ids and
        segments, `[b, 2, l]`.
        """
        del generators
        rows = rows.to(self._labels.device)
        width = int(self._lengths[rows].max())
        ids = self._ids[rows, :width].long()
        if self._segments is not None:
            ids = torch.stack([ids, self._segments[rows, :width].long()], dim=1)
        return ids, self._labels[rows]

    def sorted_by_cost(self, rows: torch.Tensor) -> torch.Tensor:
        """See Samples. By ascending length, so that batches have little padding."""
        return rows[self._lengths.cpu()[rows].argsort(stable=True)]


@register("finetune")
@dataclass(frozen=True, kw_only=True)
class Finetune(DeepSpec):
    """A pretrained encoder with a fresh classification head; the metric is accuracy on every task.

    GLUE reports Matthews' correlation on CoLA; all our figures show accuracy. The paper of
    Efficient-Adam also fine-tunes, with settings that it does not give: these are our own.
    """

    model: str = "minilm-l6-v2"
    """A pretrained encoder of the catalogue, a folder, or a name on the Hugging Face hub."""
    task: Name
    data: str = ""
    """Name of a data set; empty for the task's own."""
    batch: pydantic.PositiveInt = 8
    max_length: int = pydantic.Field(64, ge=8)
    """Maximal number of tokens of a sentence or pair, special tokens included; the rest is cut."""
    dropout: float = pydantic.Field(0.1, ge=0.0, lt=1.0)
    """Probability of all dropout layers except those of attention, which are off."""
    trainable: Literal["all", "head"] | pydantic.PositiveInt = "all"
    """Which parameters are trained and counted in d.

    All, the head alone, or the head, the pooler and this number of the last layers.
    """

    def build(self, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """See ProblemSpec."""
        found = data.load(self.data or TASKS[self.task].data)
        return self.bind(found, workers, seeds, device)

    def bind(self, found: DataSet, workers: int, seeds: Seeds, device: torch.device) -> DeepProblem:
        """See DeepSpec; the tokeniser is that of the pretrained model."""
        if "train_text_ends" not in found.tensors:
            raise ConfigError(f"problem.data: {found.variant!r} has no sentences")
        start = pretrained.load(self.model)
        read = tokens.encode_sentences(found, start.tokeniser, self.max_length)
        problem = super().bind(read, workers, seeds, device)
        problem.provenance |= {"model": start.name, "model_sha256": start.digest}
        return problem

    def network(self, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """See DeepSpec."""
        start = pretrained.load(self.model)
        classes = TASKS[self.task].classes
        return pretrained.classifier(start, classes, self.dropout, self.trainable)

    def samples(self, tensors: Mapping[str, torch.Tensor], split: str) -> Samples:
        """See DeepSpec."""
        ids, lengths, labels = (tensors[f"{split}_{p}"] for p in ("tokens", "lengths", "labels"))
        return Sentences(ids, lengths, labels, tensors.get(f"{split}_segments"))
