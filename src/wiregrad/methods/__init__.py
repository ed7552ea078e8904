"""Methods, one file a paper beside the baselines; importing the package registers all of them."""

from wiregrad.methods import (
    adacgd,
    baselines,
    bidirectional,
    comp_ams,
    diana,
    ef21,
    lag,
    marina,
    mechanisms,
    one_bit_adam,
    qadam,
    three_pc,
)
from wiregrad.methods.base import Method, State, Step, register, registry

__all__ = [
    "Method",
    "State",
    "Step",
    "adacgd",
    "baselines",
    "bidirectional",
    "comp_ams",
    "diana",
    "ef21",
    "lag",
    "marina",
    "mechanisms",
    "one_bit_adam",
    "qadam",
    "register",
    "registry",
    "three_pc",
]
