"""Methods, one file a paper beside the baselines; importing the package registers all of them."""

from wiregrad.methods import baselines, comp_ams, one_bit_adam, qadam
from wiregrad.methods.base import Method, State, Step, register, registry

__all__ = [
    "Method",
    "State",
    "Step",
    "baselines",
    "comp_ams",
    "one_bit_adam",
    "qadam",
    "register",
    "registry",
]
