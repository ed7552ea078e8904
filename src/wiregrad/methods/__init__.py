"""The methods: one file a paper, and the baselines; importing the package registers all of them.

A method speaks into a channel (`wiregrad.comm`) and compresses with `wiregrad.compressors`; it
knows no problem, no runtime and no theory. To write one, import from here: `Method`, `State`,
`Step`, `register`, and the states `Empty` and `Replica` (more are in `wiregrad.methods.state`).
"""

from wiregrad.core.registry import import_all
from wiregrad.methods.base import Method, Step, register, registry
from wiregrad.methods.state import Empty, Replica, State

__all__ = ["Empty", "Method", "Replica", "State", "Step", "register", "registry"]

import_all(__name__, __path__)
