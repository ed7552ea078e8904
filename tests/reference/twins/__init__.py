"""Naive NumPy float64 twins of every method, written from the papers alone.

Nothing here imports the package under test. A twin takes (problem, steps) and the parameters of a
run configuration, and returns the iterates x_0..x_T as rows.
"""

from collections.abc import Callable

import numpy as np

from twins import comp_ams, one_bit_adam, qadam, sgd

TWINS: dict[str, Callable[..., np.ndarray]] = {
    "comp_ams": comp_ams.comp_ams,
    "dist_ams": comp_ams.dist_ams,
    "naive": comp_ams.naive,
    "dist_sgd": sgd.dist_sgd,
    "naive_sgd": sgd.naive_sgd,
    "ef_sgd": sgd.ef_sgd,
    "qadam": qadam.qadam,
    "qadam_published": qadam.qadam_published,
    "one_bit_adam": one_bit_adam.one_bit_adam,
    "one_bit_adam_published": one_bit_adam.one_bit_adam_published,
}
