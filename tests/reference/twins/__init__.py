"""Naive NumPy float64 twins of every method, written from the papers alone.

Nothing here imports the package under test. A twin takes (problem, steps) and the parameters of a
run configuration, and returns the iterates x_0..x_T as rows.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from twins import (
    asynchronous,
    cd_adam,
    comp_ams,
    efficient_adam,
    lag,
    one_bit_adam,
    qadam,
    sgd,
    three_pc,
    unbiased,
)

MECHANISMS = [
    "adacgd",
    "clag",
    "ef21",
    "lag",
    "three_pc_v1",
    "three_pc_v2",
    "three_pc_v3",
    "three_pc_v4",
    "three_pc_v5",
]

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
    "one_bit_adam_gradients": one_bit_adam.one_bit_adam_gradients,
    "cd_adam": partial(cd_adam.both_ways, cd_adam.markov, cd_adam.Adam),
    "naive_two_way": partial(cd_adam.both_ways, cd_adam.naive, cd_adam.Adam),
    "ef_two_way": partial(cd_adam.both_ways, cd_adam.feedback, cd_adam.Adam),
    "ef21_two_way": partial(cd_adam.both_ways, cd_adam.markov, cd_adam.SGD),
    "double_squeeze": partial(cd_adam.both_ways, cd_adam.feedback, cd_adam.SGD),
    "dist_adam": cd_adam.dist_adam,
    "efficient_adam": efficient_adam.efficient_adam,
    **{name: partial(three_pc.three_pc, name) for name in MECHANISMS},
    "bidirectional_3pc": three_pc.bidirectional,
    "ef21_bc": three_pc.ef21_bc,
    "ef21_plus": three_pc.ef21_plus,
    "lag_wk": lag.lag_wk,
    "lag_ps": lag.lag_ps,
    "marina": unbiased.marina,
    "marina_perm_k": unbiased.marina_perm_k,
    "diana": unbiased.diana,
    "q_gd": asynchronous.q_gd,
    "distributed_q_gd": asynchronous.distributed_q_gd,
    "q_iag": asynchronous.distributed_q_gd,  # everyone is heard in every round
    "async_sgd": asynchronous.distributed_q_gd,
    "async_ef_sgd": asynchronous.async_ef_sgd,
}
