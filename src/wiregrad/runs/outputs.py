"""The files of a run that has ended: history, timing, choices, staleness and, last, its card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wiregrad.core.files import sha256_file
from wiregrad.problems.base import Evaluation
from wiregrad.runs import record
from wiregrad.runs.environment import git_revision, peak_memory, versions
from wiregrad.runs.identity import code_sha256
from wiregrad.runs.loop import Loop
from wiregrad.runs.request import RunRequest


def write_outputs(
    request: RunRequest,
    loop: Loop,
    *,
    device: str,
    wall_seconds: float,
    messages: Mapping[str, int] | None = None,
) -> record.RunCard:
    """Write the files of `loop`, which has ended, to the folder of `request`; returns the card.

    `messages`: of a parameter server, see `RunCard`.
    """
    out, config = request.out, request.config
    record.write_table(out / record.HISTORY, loop.rows)
    record.write_table(out / record.TIMING, loop.timing, record.TIMING_SCHEMA)
    choices = _write_choices(out / record.CHOICES, loop)
    staleness = _write_staleness(out / record.STALENESS, loop)
    card = record.RunCard(
        schema=record.SCHEMA_VERSION,
        config=config.resolved(),
        config_sha256=config.sha256(),
        code_sha256=code_sha256(config),
        git_revision=git_revision(),
        versions=versions(),
        device=device,
        data=dict(loop.problem.provenance),
        seed=config.seed,
        dim=loop.problem.dim,
        steps=loop.done,
        wall_seconds=wall_seconds,
        peak_memory_bytes=peak_memory(),
        control_bytes=loop.runtime.control_bytes,
        outcome=loop.outcome,
        history_sha256=sha256_file(out / record.HISTORY),
        choices_sha256=choices,
        messages=dict(messages or {}),
        staleness_sha256=staleness,
        final=_finite(loop.final),
        labels=dict(request.labels),
        theory=dict(request.theory),
    )
    record.write_card(out / record.CARD, card)
    return card


def _write_choices(path: Path, loop: Loop) -> str | None:
    """The digest of the table of choices; None, and no file, for a method without any."""
    path.unlink(missing_ok=True)
    if not loop.choices:
        return None
    record.write_choices(path, torch.stack(loop.choices).numpy())
    return sha256_file(path)


def _write_staleness(path: Path, loop: Loop) -> str | None:
    """The digest of the table of gradients; None, and no file, where rounds are synchronous."""
    path.unlink(missing_ok=True)
    if not loop.applied:
        return None
    rows = (gradient._asdict() for gradient in loop.applied)
    record.write_table(path, rows, record.STALENESS_SCHEMA)
    return sha256_file(path)


def _finite(measured: Evaluation) -> dict[str, float]:
    figures: dict[str, Any] = vars(measured)
    return {name: value for name, value in figures.items() if math.isfinite(value)}
