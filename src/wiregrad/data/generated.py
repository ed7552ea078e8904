"""Generated rows with labels: dense and sparse sets of the same size and conditioning.

They follow the experiments of arXiv 1806.06573 in size (40,000 × 1,000, from memory); how those
were generated is not known, so that the recipe is our own. It uses integers and single IEEE
operations only and gives the same bits on every machine. Sets are generated whenever they are used,
which costs less than storing them would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wiregrad.core.rng import Seeds
from wiregrad.data.prepared import digest

if TYPE_CHECKING:
    from wiregrad.data.files import Arrays

CONDITION = 100.0
"""Ratio of the largest to the smallest variance of a feature."""
FLIPPED = 0.1
"""Fraction of the labels whose sign is flipped."""

_SPREAD = 2.0 * np.sqrt((2.0**32 - 1) / 3)
"""Standard deviation of the values of `_bell_shaped`."""
_AT_ONCE = 1 << 22
"""Values that are generated at a time, to bound the memory of temporaries."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """The size of a generated set."""

    rows: int
    features: int
    nonzeros: int
    """Non-zero values of a row, at random columns; at most `features`."""


SETS = {
    "generated_dense": Recipe(40_000, 1_000, 1_000),
    "generated_sparse": Recipe(40_000, 1_000, 20),
    "generated_dense_4k": Recipe(4_000, 100, 100),
    "generated_sparse_4k": Recipe(4_000, 100, 5),
}
"""The generated sets by name; `problem.data` accepts these names besides the catalogue's."""


def make(name: str) -> tuple[Arrays, str]:
    """The arrays of one of `SETS`, in the form of a LIBSVM set (`wiregrad.data.libsvm`).

    Feature j has variance s_j², evenly spaced from 1/`CONDITION` to 1. The non-zero values of a row
    are s_j z_j, where z_j has mean 0 and variance d/nonzeros, so that AᵀA/rows has the expectation
    diag(s²) for dense and sparse sets alike. A label is the sign of Σ ±z_j with fixed random signs;
    a fraction `FLIPPED` of the labels is flipped.

    Returns:
        The arrays, and their digest.
    """
    recipe = SETS[name]
    m, d, k = recipe.rows, recipe.features, recipe.nonzeros
    source = np.random.Philox(key=Seeds(0).seed("data", name))
    signs = np.where(source.random_raw(d) >> np.uint64(63), 1, -1)
    variances = 1 / CONDITION + (1 - 1 / CONDITION) * (np.arange(d) / (d - 1))
    scales = np.sqrt(variances) / _SPREAD * np.sqrt(d / k)
    col, values, labels = np.empty((m, k), np.int64), np.empty((m, k)), np.empty(m)
    for rows in _row_ranges(m, d):
        count = rows.stop - rows.start
        col[rows] = _random_columns(source, count, recipe)
        draws = _bell_shaped(source, count, k)
        values[rows] = draws * scales[col[rows]]
        flipped = source.random_raw(count) < np.uint64(FLIPPED * 2.0**64)
        positive = (draws * signs[col[rows]]).sum(axis=1) >= 0
        labels[rows] = np.where(positive != flipped, 1.0, -1.0)
    arrays: Arrays = {
        "crow": np.arange(0, m * k + 1, k, dtype=np.int64),
        "col": col.ravel(),
        "values": values.ravel(),
        "labels": labels,
        "shape": np.array([m, d], dtype=np.int64),
    }
    return arrays, digest(arrays)


def _row_ranges(m: int, d: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // d)
    for first in range(0, m, step):
        yield slice(first, min(first + step, m))


def _random_columns(source: np.random.Philox, count: int, recipe: Recipe) -> Integers:
    """Ascending columns `[count, k]` of `count` rows; every subset of k is equally likely."""
    d, k = recipe.features, recipe.nonzeros
    if k == d:
        return np.broadcast_to(np.arange(d), (count, d))
    keys = source.random_raw(count * d).reshape(count, d)
    return np.sort(np.argpartition(keys, k, axis=1)[:, :k], axis=1)


def _bell_shaped(source: np.random.Philox, count: int, k: int) -> Integers:
    """Odd integers `[count, k]`, roughly normal with standard deviation `_SPREAD` and mean 1.

    Each is a sum of four uniform 16-bit integers; being odd, it is never 0.
    """
    raw = source.random_raw(count * k).reshape(count, k)
    quarters = [(raw >> np.uint64(16 * i) & np.uint64(0xFFFF)).astype(np.int64) for i in range(4)]
    total: Integers = 2 * np.sum(quarters, axis=0) - 4 * 0xFFFF + 1
    return total
