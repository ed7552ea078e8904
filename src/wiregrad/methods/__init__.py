"""Methods, one file a paper beside the baselines; importing the package registers all of them."""

from wiregrad.core.registry import import_all
from wiregrad.methods.base import Empty, Method, Replica, State, Step, register, registry

__all__ = ["Empty", "Method", "Replica", "State", "Step", "register", "registry"]

import_all(__name__, __path__)
