"""Tensors with a row a worker, `[..., n, d]`, where ``...`` may be the R runs of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def rows_like(x: torch.Tensor, n: int, d: int | None = None) -> torch.Tensor:
    """Zeros `[..., n, d]` for n workers at `x` `[..., d]`; with another last dimension if given."""
    return x.new_zeros(*x.shape[:-1], n, x.shape[-1] if d is None else d)


def for_rows(lr: float | torch.Tensor) -> float | torch.Tensor:
    """The learning rate as a factor of `[..., n, d]`: a number, or `[R, 1, 1]` from `[R, 1]`."""
    return lr[..., None] if isinstance(lr, torch.Tensor) else lr


def descend(x: torch.Tensor, lr: float | torch.Tensor, direction: torch.Tensor) -> None:
    """Take a step, in place: x <- x - lr direction, both `[..., d]`, with one lr for each run."""
    if isinstance(lr, torch.Tensor):
        x.addcmul_(lr, direction, value=-1)
    else:
        x.sub_(direction, alpha=lr)


def in_turn(grads: torch.Tensor, shared: bool) -> Sequence[torch.Tensor]:
    """The pieces of `grads` `[m, d]` that meet the workers' state together.

    All rows at once if each worker has a state of its own; if all of them share one (`shared`), row
    after row `[1, d]`, so that each worker finds what the one before it has left.
    """
    return grads[:, None].unbind() if shared else (grads,)


def square(x: torch.Tensor) -> torch.Tensor:
    """‖row‖² of each row of `x` `[..., d]`."""
    return x.square().sum(-1)
