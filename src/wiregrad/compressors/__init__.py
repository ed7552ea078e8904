"""Compressors, one file a family; importing the package registers all of them."""

from wiregrad.compressors import (
    half,
    identity,
    log_quantiser,
    natural,
    power_sgd,
    qsgd,
    rand_k,
    sign,
    sparsifier,
    ternary,
    top_k,
)
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
    "half",
    "identity",
    "log_quantiser",
    "natural",
    "power_sgd",
    "qsgd",
    "rand_k",
    "register",
    "registry",
    "sign",
    "sparsifier",
    "ternary",
    "top_k",
]
