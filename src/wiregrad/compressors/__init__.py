"""Compressors, one file a family; importing the package registers all of them."""

from wiregrad.compressors import identity, sign, top_k
from wiregrad.compressors.base import (
    Blocked,
    Compressor,
    Contract,
    Roundtrip,
    decode,
    register,
    registry,
)

__all__ = [
    "Blocked",
    "Compressor",
    "Contract",
    "Roundtrip",
    "decode",
    "identity",
    "register",
    "registry",
    "sign",
    "top_k",
]
