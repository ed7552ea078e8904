"""Compressors: maps from a vector to a payload and back, one file a family.

Importing the package registers all families. It imports `wire`, `kernels` and `core` only; the
text at the top of `wiregrad.compressors.base` explains the parts.
"""

from wiregrad.compressors.base import (
    Blocked,
    Compressor,
    Content,
    Contract,
    Encoded,
    EncodedBlock,
    Params,
    Roundtrip,
    decode,
    register,
    registry,
)
from wiregrad.core.registry import import_all

__all__ = [
    "Blocked",
    "Compressor",
    "Content",
    "Contract",
    "Encoded",
    "EncodedBlock",
    "Params",
    "Roundtrip",
    "decode",
    "register",
    "registry",
]

import_all(__name__, __path__)
