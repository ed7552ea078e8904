"""What is swept: the grid of one label, and the configuration of each of its runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wiregrad.runs.config import RunConfig
from wiregrad.studies.files import SweepAxis
from wiregrad.studies.sweep.advance import Stop
from wiregrad.theory.steps import Regime

COMPRESSED = ("compressor", "compressors")
"""Keys of a method's configuration whose compressors have the k."""
Cells = Mapping[float | None, Sequence[float]]
"""The runs of a batch: by ζ, the multiples of the theory's step."""
Cheapest = Mapping[float | None, int]
"""By ζ, the bits of the cheapest run of earlier batches that has reached the tolerance."""


@dataclass(frozen=True)
class SweepTask:
    """A sweep of one label: what its runs have in common, the grid, and when a run ends."""

    label: str
    config: Mapping[str, Any]
    """A run configuration; the grid replaces `method.lr`, `.compressor.k` and `.zeta`, `seed`."""
    multiples: tuple[float, ...]
    k: tuple[int, ...]
    zeta: tuple[float, ...]
    seeds: tuple[int, ...]
    stop: Stop
    indexed: str | None = None
    regime: Regime = "nonconvex"
    cap: int | None = None
    """Values on an axis at the most, where the grid is searched: `wiregrad.studies.search`."""

    @property
    def conventions(self) -> list[str]:
        """The conventions that count a run's bits: the paper's, and the one with indices."""
        paper = self.config["log"]["convention"]
        return [paper] if self.indexed is None else [paper, self.indexed]

    def digest(self, k: int | None, seed: int, cells: Cells, cheapest: Cheapest) -> str:
        """Digest of all that the batch of this k and seed depends on."""
        content = dataclasses.asdict(self)
        for key in ("multiples", "zeta", "seeds", "cap"):
            del content[key]
        content |= {"k": k, "seed": seed, "cells": list(cells.items())}
        content |= {"cheapest": list(cheapest.items())}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def axis_values(task: SweepTask, name: SweepAxis) -> tuple[float, ...]:
    """The values along an axis; none where the method's configuration has none such."""
    method = task.config["method"]
    has = {"multiples": True, "k": _finest(method) is not None, "zeta": "zeta" in method}
    values: tuple[float, ...] = getattr(task, name)
    return values if has[name] else ()


def _finest(method: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The compressor whose k is swept: the method's only one, or the last of several."""
    found = method.get("compressor") or (method.get("compressors") or [None])[-1]
    return found if isinstance(found, Mapping) and "k" in found else None


def with_k(method: Mapping[str, Any], k: int) -> dict[str, Any]:
    """The configuration of a method with this k in its compressor.

    Of several compressors the last, the finest, takes it; others with as large a k are left out.
    """
    if "compressor" in method:
        return {**method, "compressor": {**method["compressor"], "k": k}}
    *others, finest = method["compressors"]
    coarser = [one for one in others if one.get("k", 0) < k]
    return {**method, "compressors": [*coarser, {**finest, "k": k}]}


def parsed_run(task: SweepTask, k: int | None, zeta: float | None) -> RunConfig:
    """The run of this k and ζ, before its learning rate is known."""
    config = json.loads(json.dumps(task.config))
    config["method"]["lr"] = 1.0
    if k is not None:
        config["method"] = with_k(config["method"], k)
    if zeta is not None and "zeta" in config["method"]:
        config["method"]["zeta"] = zeta
    return RunConfig.parse(config, f"sweep of {task.label}")
