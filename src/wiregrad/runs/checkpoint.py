"""Checkpoints: an interrupted run resumes from the last one and ends with the same bytes."""

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
    """Saves the state of a run about every `seconds`, and finds it again.

    A checkpoint of another `identity` (`wiregrad.runs.identity`) is not used. The clock decides
    when a checkpoint is written, and nothing else.
    """

    directory: Path
    identity: str
    seconds: float = 60.0
    _last: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The checkpoint's file."""
        return self.directory / FILE

    def due(self) -> bool:
        """Whether the last checkpoint, or the start, is `seconds` ago."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the state of a run (tensors, numbers, strings, lists and dicts of them)."""
        with write_atomic(self.path) as temporary:
            torch.save(state | {"identity": self.identity}, temporary)
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state; None where there is none, or it is damaged or of another identity."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            _log.warning("%s: unreadable checkpoint, the run starts afresh (%s)", self.path, error)
            return None
        if state.get("identity") != self.identity:
            _log.warning(
                "%s: checkpoint of another configuration or code, the run starts afresh", self.path
            )
            return None
        return state

    def clear(self) -> None:
        """Remove the checkpoint of a finished run."""
        self.path.unlink(missing_ok=True)
