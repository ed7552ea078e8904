"""Checkpoints: a run that is cut off goes on from the last one and ends with the same bytes."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wiregrad.core.files import write_atomic

FILE = "checkpoint.pt"
_log = logging.getLogger(__name__)


@dataclass
class Checkpointer:
    """Saves at most every `seconds`; a checkpoint of another run (`identity`) is not used.

    When it is written depends on the clock, what a run computes does not.
    """

    directory: Path
    identity: str
    seconds: float = 60.0
    _last: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """Where the checkpoint lies."""
        return self.directory / FILE

    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the state of a run (tensors, numbers, strings, lists and dicts of them)."""
        with write_atomic(self.path) as temporary:
            torch.save(state | {"identity": self.identity}, temporary)
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None when there is none that fits."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            _log.warning("%s: unreadable checkpoint, starting afresh (%s)", self.path, error)
            return None
        if state.get("identity") != self.identity:
            _log.warning(
                "%s: checkpoint of another configuration or code, starting afresh", self.path
            )
            return None
        return state

    def clear(self) -> None:
        """Remove the checkpoint of a finished run."""
        self.path.unlink(missing_ok=True)
