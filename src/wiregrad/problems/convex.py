"""Logistic regression with each worker's rows fixed: the problems of EF21, 3PC and AdaCGD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pydantic
import torch
from torch.nn import functional

from wiregrad import data
from wiregrad.data.splits import FIXED, Remainder, contiguous
from wiregrad.errors import ConfigError
from wiregrad.layout import Layout
from wiregrad.problems.base import Evaluation, Problem, ProblemSpec, register
from wiregrad.rng import Seeds

Dtype = Literal["float64", "float32"]


class Regulariser(NamedTuple):
    """r(x) and its gradient, both without the factor λ."""

    value: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor], torch.Tensor]


REGULARISERS = {
    # Σ x²/(1 + x²), with gradient 2x/(1 + x²)²
    "nonconvex": Regulariser(
        lambda x: (x.square() / (1 + x.square())).sum(), lambda x: 2 * x / (1 + x.square()).square()
    ),
    "l2": Regulariser(lambda x: x.square().sum() / 2, lambda x: x),
    "none": Regulariser(lambda x: x.new_zeros(()), torch.zeros_like),
}
