"""Which methods can go on when only some of the workers have been heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from wiregrad.core.errors import ConfigError
from wiregrad.methods.base import Method

Partial = Literal["arrived", "padded"]
"""What `Method.serve` is given when some messages have arrived.

arrived  their rows `[m, d]` alone: the server averages, or adds, what there is;
padded   rows `[n, d]`, empty messages for all others: each message changes a mean over workers.
"""

OURS: Mapping[str, Partial] = {
    "dist_sgd": "arrived",
    "naive_sgd": "arrived",
    "ef_sgd": "arrived",
    "dist_ams": "arrived",
    "comp_ams": "arrived",
    "naive": "arrived",
    "ef21": "padded",
    "ef21_plus": "padded",
    "ef21_bc": "padded",
    "efficient_adam": "arrived",
    "dist_adam": "arrived",
}
"""Methods of synchronous papers. Their asynchronous forms are this suite's: no paper has them."""


def partial_form(method: Method) -> Partial:
    """How `method` takes the messages of some workers.

    A method says so itself by a class variable `partial`, or stands in `OURS`. Raises ConfigError
    for one that needs to hear everyone in each round: its server and workers count rounds
    together, or its message means nothing without the others'.
    """
    found: Partial | None = getattr(method, "partial", OURS.get(method.name))
    if found is None:
        raise ConfigError(
            f"method.name: {method.name} needs the messages of all workers in every update; "
            "allowed with it: runtime.apply: all, or a synchronous runtime"
        )
    return found
