"""Checkpoints of a distributed run: a file a rank, used only where all ranks have the same step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from wiregrad.runs.checkpoint import Checkpointer
from wiregrad.runtimes.distributed.exchange import Exchange

_KEPT = 2
"""The step before is kept until all ranks have written the new one."""


class RankCheckpointer(Checkpointer):
    """This rank's checkpoints; `save`, `load` and `clear` are called by all ranks together.

    A run that is cut off while some ranks have written step t and others still hold step s goes
    on from s.
    """

    def __init__(self, directory: Path, identity: str, seconds: float, exchange: Exchange) -> None:
        super().__init__(directory, identity, seconds)
        self.exchange = exchange
        self._step = 0

    @property
    def path(self) -> Path:
        """Where this rank's checkpoint of the current step lies."""
        return self.directory / f"checkpoint.rank{self.exchange.rank}.step{self._step}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write this rank's part; the one before goes once all ranks have written theirs."""
        self._step = state["done"]
        super().save(state)
        self._barrier()
        self._keep(self._step)

    def load(self) -> dict[str, Any] | None:
        """This rank's part of the last checkpoint that all ranks have, or None."""
        found = {}
        for step in sorted(self._steps(), reverse=True)[:_KEPT]:
            self._step = step
            state = super().load()
            if state is not None:
                found[step] = state
        mine = torch.full((_KEPT,), -1)
        mine[: len(found)] = torch.tensor(list(found), dtype=torch.int64)
        everyones = [set(steps.tolist()) for steps in self.exchange.gather(mine)]
        common = set.intersection(*everyones) - {-1}
        last = max(common, default=None)
        self._keep(last)
        return None if last is None else found[last]

    def clear(self) -> None:
        """Remove the checkpoints of a finished run."""
        self._barrier()
        self._keep(None)

    def _barrier(self) -> None:
        self.exchange.gather(torch.zeros(1, dtype=torch.int64))

    def _steps(self) -> dict[int, Path]:
        """This rank's files by step."""
        pattern = re.compile(rf"checkpoint\.rank{self.exchange.rank}\.step(\d+)\.pt")
        named = [(pattern.fullmatch(path.name), path) for path in self.directory.glob("*.pt")]
        return {int(match[1]): path for match, path in named if match}

    def _keep(self, step: int | None) -> None:
        """Remove this rank's files but that of `step`, and what a killed process left of one."""
        for each, path in self._steps().items():
            if each != step:
                path.unlink(missing_ok=True)
        for path in self.directory.glob(f".checkpoint.rank{self.exchange.rank}.step*"):
            path.unlink(missing_ok=True)
