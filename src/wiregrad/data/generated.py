"""Generated rows with labels, dense and sparse, of the same size and conditioning.

After the experiments of arXiv 1806.06573 (recalled: 40,000 × 1,000; how they were generated is not
known, and ours). Integers and single IEEE operations all the way, so that every machine has the
same bits, and a set costs less to make than to keep.
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
"""Largest over smallest variance of a feature."""
FLIPPED = 0.1
"""Share of the labels that are turned around."""

_SPREAD = 2.0 * np.sqrt((2.0**32 - 1) / 3)
"""Standard deviation of `_bells`."""
_AT_ONCE = 1 << 22
"""Values made at a time: bounds the temporaries."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """A generated set: `rows` × `features`, `nonzeros` of a row at random places."""

    rows: int
    features: int
    nonzeros: int


SETS = {
    "generated_dense": Recipe(40_000, 1_000, 1_000),
    "generated_sparse": Recipe(40_000, 1_000, 20),
    "generated_dense_4k": Recipe(4_000, 100, 100),
    "generated_sparse_4k": Recipe(4_000, 100, 5),
}
"""Names that `problem.data` takes beside those of the catalogue."""


def make(name: str) -> tuple[Arrays, str]:
    """Arrays in the form of a LIBSVM set (`wiregrad.data.libsvm`), and their digest.

    Feature j has variance s_j², evenly from 1/`CONDITION` to 1; a row's values are s_j z_j, z of
    mean 0 and variance d/nonzeros, so that AᵀA/rows has the expectation diag(s²) whether dense or
    sparse. Labels are the signs of Σ ±z_j, one in ten of them turned around.
    """
    recipe = SETS[name]
    m, d, k = recipe.rows, recipe.features, recipe.nonzeros
    source = np.random.Philox(key=Seeds(0).seed("data", name))
    signs = np.where(source.random_raw(d) >> np.uint64(63), 1, -1)
    variances = 1 / CONDITION + (1 - 1 / CONDITION) * (np.arange(d) / (d - 1))
    scales = np.sqrt(variances) / _SPREAD * np.sqrt(d / k)
    col, values, labels = np.empty((m, k), np.int64), np.empty((m, k)), np.empty(m)
    for rows in _pieces(m, d):
        count = rows.stop - rows.start
        col[rows] = _places(source, count, recipe)
        bells = _bells(source, count, k)
        values[rows] = bells * scales[col[rows]]
        flipped = source.random_raw(count) < np.uint64(FLIPPED * 2.0**64)
        positive = (bells * signs[col[rows]]).sum(axis=1) >= 0
        labels[rows] = np.where(positive != flipped, 1.0, -1.0)
    arrays: Arrays = {
        "crow": np.arange(0, m * k + 1, k, dtype=np.int64),
        "col": col.ravel(),
        "values": values.ravel(),
        "labels": labels,
        "shape": np.array([m, d], dtype=np.int64),
    }
    return arrays, digest(arrays)


def _pieces(m: int, d: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // d)
    for first in range(0, m, step):
        yield slice(first, min(first + step, m))


def _places(source: np.random.Philox, count: int, recipe: Recipe) -> Integers:
    """Columns `[count, k]`, ascending; each subset of k alike."""
    d, k = recipe.features, recipe.nonzeros
    if k == d:
        return np.broadcast_to(np.arange(d), (count, d))
    keys = source.random_raw(count * d).reshape(count, d)
    return np.sort(np.argpartition(keys, k, axis=1)[:, :k], axis=1)


def _bells(source: np.random.Philox, count: int, k: int) -> Integers:
    """Sums of four 16-bit integers about 1 `[count, k]`: bell-shaped, of deviation `_SPREAD`.

    They are odd, and so never 0.
    """
    raw = source.random_raw(count * k).reshape(count, k)
    quarters = [(raw >> np.uint64(16 * i) & np.uint64(0xFFFF)).astype(np.int64) for i in range(4)]
    total: Integers = 2 * np.sum(quarters, axis=0) - 4 * 0xFFFF + 1
    return total
