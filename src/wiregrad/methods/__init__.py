"""The methods: one file a paper, and the baselines; importing the package registers all of them.

A method speaks into a channel (`wiregrad.comm`) and compresses with `wiregrad.compressors`; it
knows no problem, no runtime and no theory. All that a method of your own needs can be imported from
here, and its compressors from `wiregrad.compressors`; more states are in `wiregrad.methods.state`.
"""

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.core.registry import import_all
from wiregrad.methods.base import Method, Step, register, registry
from wiregrad.methods.state import Empty, Replica, State

__all__ = [
    "Channel",
    "Empty",
    "Method",
    "Received",
    "Replica",
    "State",
    "Step",
    "register",
    "registry",
]

import_all(__name__, __path__)
