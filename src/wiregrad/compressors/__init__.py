"""Compressors, one file a family; importing the package registers all of them."""

from wiregrad.compressors.base import (
    Blocked,
    Code,
    Compressor,
    Contract,
    Params,
    Roundtrip,
    decode,
    register,
    registry,
)
from wiregrad.core.registry import import_all

__all__ = [
    "Blocked",
    "Code",
    "Compressor",
    "Contract",
    "Params",
    "Roundtrip",
    "decode",
    "register",
    "registry",
]

import_all(__name__, __path__)
