"""States that several methods share: plain dataclasses of tensors, named for what they hold.

Shapes: d is the dimension of x, n the number of workers. Tensors of the workers have a row a
worker, `[..., n, d]`; those of the server and of the replica are `[..., d]`. The leading dimensions
``...`` are empty in a run, and `[R]` where a sweep runs R of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


class State(NamedTuple):
    """All state of a method; each part is a dataclass of tensors.

    `workers` has a row a worker, and only the worker itself knows its row; `server` is the
    server's; `replica` is what every worker holds a copy of, with a field `x` `[..., d]`, the point
    at which gradients are taken.
    """

    workers: Any
    server: Any
    replica: Any


@dataclass
class Empty:
    """No state."""


@dataclass
class Replica:
    """The point x `[..., d]` that all workers hold."""

    x: torch.Tensor


@dataclass
class Point:
    """The server's x `[..., d]`."""

    x: torch.Tensor


@dataclass
class Residuals:
    """The workers' residuals e_i `[..., n, d]` of error feedback; `[1, d]` if they share one."""

    error: torch.Tensor


@dataclass
class ServerResidual:
    """The server's residual E `[..., d]` of error feedback on the downlink."""

    error: torch.Tensor


@dataclass
class Estimates:
    """Estimates of the workers' gradients `[..., n, d]`: what the server holds of each, too."""

    h: torch.Tensor


@dataclass
class GradientServer:
    """The server's x and g, its estimate of the mean gradient; each `[..., d]`."""

    x: torch.Tensor
    g: torch.Tensor


@dataclass
class MarkovServer:
    """g^ = mean g^_i, and w = g~, what the workers hold of it; each `[..., d]`."""

    g: torch.Tensor
    w: torch.Tensor


@dataclass
class Moments:
    """x and Adam's moments m and v, each `[..., d]`."""

    x: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor


@dataclass
class LargestMoments(Moments):
    """And v^, the largest v so far `[..., d]`, of AMSGrad."""

    v_hat: torch.Tensor


@dataclass
class LocalMoments:
    """Of each worker: Adam's moments m_i, v_i and the residual e_i, each `[..., n, d]`.

    `[1, d]` if all workers share them; e_i is `[..., n, 0]` without error feedback.
    """

    m: torch.Tensor
    v: torch.Tensor
    error: torch.Tensor
