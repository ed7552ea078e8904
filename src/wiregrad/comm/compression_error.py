"""Relative compression errors, summed in float64."""

from __future__ import annotations

import torch

_PART = 1 << 16
"""Elements whose squares are summed at a time: they are float64 then."""


def squared_norms(rows: torch.Tensor) -> list[float]:
    """‖x‖² of each row of `[n, d]`."""
    return [sum(float(part.double().square().sum()) for part in row.split(_PART)) for row in rows]


def relative_errors(x: torch.Tensor, decoded: torch.Tensor, against: torch.Tensor) -> list[float]:
    """‖decoded − x‖² / ‖against‖² of each row, all `[n, d]`; 0 where `against` is 0."""
    errors = []
    for row, got, square in zip(x, decoded, squared_norms(against), strict=True):
        parts = zip(row.split(_PART), got.split(_PART), strict=True)
        error = sum(float((b.double() - a.double()).square().sum()) for a, b in parts)
        errors.append(error / square if square else 0.0)
    return errors
