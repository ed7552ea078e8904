"""Checkpoints of a distributed run: one file per rank; a step counts if all ranks have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from wiregrad.runs.checkpoint import Checkpointer
from wiregrad.runtimes.distributed.exchange import Exchange

_KEPT = 2
"""Checkpoints per rank: the previous one stays until all ranks have written the new one."""


class RankCheckpointer(Checkpointer):
    """This rank's checkpoints; all ranks call `save`, `load` and `clear` together.

    A run that is interrupted when some ranks have written step t, and others have only the
    checkpoint of an earlier step s, resumes from s.
    """

    def __init__(self, directory: Path, identity: str, seconds: float, exchange: Exchange) -> None:
        super().__init__(directory, identity, seconds)
        self.exchange = exchange
        self._step = 0

    @property
    def path(self) -> Path:
        """This rank's checkpoint of the current step."""
        return self.directory / f"checkpoint.rank{self.exchange.rank}.step{self._step}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write this rank's part; remove the previous one once all ranks have written theirs."""
        self._step = state["done"]
        super().save(state)
        self._wait_for_all()
        self._remove_all_but(self._step)

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
        self._remove_all_but(last)
        return None if last is None else found[last]

    def clear(self) -> None:
        """Remove the checkpoints of a finished run."""
        self._wait_for_all()
        self._remove_all_but(None)

    def _wait_for_all(self) -> None:
        self.exchange.gather(torch.zeros(1, dtype=torch.int64))

    def _steps(self) -> dict[int, Path]:
        """This rank's checkpoint files, by step."""
        pattern = re.compile(rf"checkpoint\.rank{self.exchange.rank}\.step(\d+)\.pt")
        named = [(pattern.fullmatch(path.name), path) for path in self.directory.glob("*.pt")]
        return {int(match[1]): path for match, path in named if match}

    def _remove_all_but(self, step: int | None) -> None:
        """Remove this rank's files except that of `step`; half-written ones too."""
        for each, path in self._steps().items():
            if each != step:
                path.unlink(missing_ok=True)
        for path in self.directory.glob(f".checkpoint.rank{self.exchange.rank}.step*"):
            path.unlink(missing_ok=True)
