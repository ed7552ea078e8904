"""What is to be executed: a run, the folder for its files, and how to go about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wiregrad.runs.config import RunConfig
from wiregrad.runs.loop import Progress

if TYPE_CHECKING:
    from wiregrad.runs.pool.pool import Pool


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One run to be executed, as `execute` hands it on. Nothing here changes its numbers."""

    config: RunConfig
    out: Path
    """Folder for history, timing and run card."""
    device: str = "auto"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Where the run belongs (scale, paper, …), for its card."""
    checkpoint_seconds: float = 60.0
    progress: Progress | None = None
    pool: Pool | None = None
    """Processes that share the gradients of a run in one process."""
    theory: Mapping[str, Any] = field(default_factory=dict)
    """What the learning rate was worked out from, for the card."""
