"""Running statistics of batch-norm: whose are kept, and which ones an evaluation uses.

In training a worker always normalises by its own batch alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wiregrad.core.errors import ConfigError

Policy = Literal["worker_0", "averaged"]
"""`worker_0`: an evaluation uses the running statistics of worker 0; no others are kept.

`averaged`: every worker keeps its own; an evaluation uses the mean over workers of the running
means, and the mean over workers of the running variances.
"""


class Statistics:
    """The running statistics of the batch-norm layers of a network.

    `rows` holds ``LAYER.running_mean`` and ``LAYER.running_var`` `[m, c]` for c channels, and
    ``LAYER.num_batches_tracked`` `[m]`, with m = 1 (`worker_0`) or m = n (`averaged`).

    Args:
        model: The network.
        workers: Number of workers, n.
        policy: Whose statistics are kept.
    """

    def __init__(self, model: nn.Module, workers: int, policy: Policy) -> None:
        self._norms = {n: m for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
        self._kept = workers if policy == "averaged" else 1
        self.rows = {
            f"{name}.{key}": value.expand(self._kept, *value.shape).clone()
            for name, norm in self._norms.items()
            for key, value in norm.named_buffers(recurse=False)
        }

    def use_in_training(self, workers: Sequence[int]) -> None:
        """Let the layers update the statistics of the one worker in `workers`, if they are kept.

        Raises ValueError where there are several: they would normalise by each other's samples.
        """
        for name, norm in self._norms.items():
            (worker,) = workers
            norm.track_running_stats = worker < self._kept
            if norm.track_running_stats:
                for key, _ in norm.named_buffers(recurse=False):
                    setattr(norm, key, self.rows[f"{name}.{key}"][worker])

    def use_in_evaluation(self) -> None:
        """Let the layers normalise by the statistics that the policy selects."""
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
        """Copy the rows of `state`; raises ConfigError where names or shapes differ."""
        shapes = {name: value.shape for name, value in self.rows.items()}
        if shapes != {name: value.shape for name, value in state.items()}:
            raise ConfigError(
                f"checkpoint holds problem state {sorted(state)}, expected {sorted(shapes)}"
            )
        for name, value in self.rows.items():
            value.copy_(state[name])
