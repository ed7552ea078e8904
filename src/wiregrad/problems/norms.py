"""Batch-norm statistics: each worker's are its own; a policy says which ones evaluation uses.

In training a worker normalises by its own batch alone, whatever the policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wiregrad.core.errors import ConfigError

Policy = Literal["worker_0", "averaged"]
"""`worker_0`: evaluation uses the running statistics of worker 0, and no others are kept.

`averaged`: every worker keeps its own, and evaluation uses the mean over workers of the running
means and that of the running variances.
"""


class Statistics:
    """The running statistics of a network's batch-norm layers: one row, or one for each worker.

    `rows` has ``LAYER.running_mean``, ``LAYER.running_var`` `[m, c]` and
    ``LAYER.num_batches_tracked`` `[m]`, with m = 1 (`worker_0`) or n (`averaged`).
    """

    def __init__(self, model: nn.Module, workers: int, policy: Policy) -> None:
        self._norms = {n: m for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
        self._kept = workers if policy == "averaged" else 1
        self.rows = {
            f"{name}.{key}": value.expand(self._kept, *value.shape).clone()
            for name, norm in self._norms.items()
            for key, value in norm.named_buffers(recurse=False)
        }

    def train(self, workers: Sequence[int]) -> None:
        """Let the layers update what is kept for the worker who goes through the network next.

        Several workers in one pass would normalise by one another's samples: there is one.
        """
        for name, norm in self._norms.items():
            (worker,) = workers
            norm.track_running_stats = worker < self._kept
            if norm.track_running_stats:
                for key, _ in norm.named_buffers(recurse=False):
                    setattr(norm, key, self.rows[f"{name}.{key}"][worker])

    def evaluate(self) -> None:
        """Let the layers use what the policy says."""
        for name, norm in self._norms.items():
            norm.track_running_stats = True
            for key, _ in norm.named_buffers(recurse=False):
                rows = self.rows[f"{name}.{key}"]
                mean = len(rows) > 1 and rows.is_floating_point()
                setattr(norm, key, rows.mean(0) if mean else rows[0])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A copy of all rows."""
        return {name: value.clone() for name, value in self.rows.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the rows of `state`; raises ConfigError where they are others than these."""
        shapes = {name: value.shape for name, value in self.rows.items()}
        if shapes != {name: value.shape for name, value in state.items()}:
            raise ConfigError(
                f"checkpoint holds problem state {sorted(state)}, expected {sorted(shapes)}"
            )
        for name, value in self.rows.items():
            value.copy_(state[name])
