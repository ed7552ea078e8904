"""The three ways of counting bits, never mixed.

wire     8 × the length of the real payloads (`Roundtrip.wire_bits`, `Payload.wire_bits`);
formula  a compressor's closed form, equal to the payload body (`Roundtrip.body_bits`);
paper    the books of the paper under test: the conventions of this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wiregrad.compressors.base import Compressor, Params
from wiregrad.compressors.levels import Levels
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import Shape

_SIGNS = {"scaled_sign", "block_sign"}
_SPARSE = {"top_k", "rand_k"}


@dataclass(frozen=True)
class Message:
    """One sent message, as a paper's books see it."""

    compressor: Compressor
    shapes: tuple[Shape, ...]
    params: tuple[Params, ...]
    body_bits: int
    nonzeros: Callable[[], tuple[int, ...]]
    """Elements of each block that decode to other than 0: to be asked for only where it counts."""

    @property
    def numel(self) -> int:
        """Elements of the vector, d."""
        return sum(math.prod(shape) for shape in self.shapes)


@dataclass(frozen=True)
class Convention:
    """How a paper charges a message each way, in bits."""

    uplink: Callable[[Message], int]
    downlink: Callable[[Message], int]
    source: str


def _comp_ams_uplink(message: Message) -> int:
    """Scales and indices are free: 32 d dense, d for signs, 32 k for Top-k."""
    name = message.compressor.name
    if name in _SIGNS:
        return message.numel
    if name in _SPARSE:
        return 32 * _kept(message)
    if name == "identity":
        return 32 * message.numel
    return message.body_bits


def _free(_: Message) -> int:
    return 0


def _cd_adam(message: Message) -> int:
    """32 d dense, d_l + 32 for the signs of a block, 64 for an element kept and its index."""
    name = message.compressor.name
    if name in _SIGNS:
        return message.numel + 32 * len(message.shapes)
    if name in _SPARSE:
        return 64 * _kept(message)
    return 32 * message.numel if name == "identity" else message.body_bits


def _efficient_adam(message: Message) -> int:
    """For a quantiser of b bits, b d_l + 32 a block l, padding being free; 32 d dense."""
    name, family = message.compressor.name, type(message.compressor)
    if name == "identity":
        return 32 * message.numel
    if name in _SIGNS:
        return message.numel + 32 * len(message.shapes)
    if not issubclass(family, Levels):
        return message.body_bits
    blocks = zip(message.shapes, message.params, strict=True)
    return sum(family.symbol_bits(params) * math.prod(shape) + 32 for shape, params in blocks)


def _async_compressed(message: Message) -> int:
    """⌈log₂ d⌉ an index, 32 a value or norm, 1 a sign; low precision ⌈log₂ s⌉ more for its level.

    Sums over blocks. A ternary message that is coded densely has 2 bits an element.
    """
    name = message.compressor.name
    if name == "identity":
        return 32 * message.numel
    if name not in {*_SPARSE, "sparsifier", "ternary", "qsgd"}:
        return message.body_bits
    total, counted = 0, message.nonzeros() if name == "qsgd" else ()
    for place, (shape, params) in enumerate(zip(message.shapes, message.params, strict=True)):
        d = math.prod(shape)
        index = (d - 1).bit_length() if d else 0
        if name == "ternary":
            total += 32 + (params[1] * (index + 1) if params[0] else 2 * d)
        elif name == "qsgd":
            total += 32 + counted[place] * (index + 1 + (params[0] - 1).bit_length())
        else:
            total += params[0] * (index + 32)
    return total


def _kept(message: Message) -> int:
    """Elements that a sparse message holds."""
    return sum(block[0] for block in message.params)


def _values(bits: int, message: Message, *, indices: bool = False) -> int:
    """`bits` a value sent, Top-k and Rand-k with ⌈log₂ d⌉ more for its index if `indices`."""
    name = message.compressor.name
    if name in _SPARSE:
        counts = [block[0] for block in message.params]
        each = [
            bits + (math.ceil(math.log2(max(math.prod(shape), 1))) if indices else 0)
            for shape in message.shapes
        ]
        return sum(k * price for k, price in zip(counts, each, strict=True))
    if name == "identity":
        return bits * message.numel
    return message.body_bits


def _both_ways(price: Callable[[Message], int], source: str) -> Convention:
    return Convention(price, price, source)


CONVENTIONS: dict[str, Convention] = {
    "formula": _both_ways(lambda m: m.body_bits, "payload bodies, in closed form"),
    "comp_ams": Convention(
        _comp_ams_uplink,
        _free,
        "arXiv 2205.05632, figures 1-2: up-link only; scales and indices are not counted",
    ),
    "values": _both_ways(
        partial(_values, 32), "arXiv 2202.00998, 2211.00188: 32 bits a value, indices free"
    ),
    "values_64": _both_ways(
        partial(_values, 64), "the same on the quadratics of 2202.00998: 64 bits a value"
    ),
    "values_and_indices": _both_ways(
        partial(_values, 32, indices=True), "32 bits a value, ⌈log₂ d⌉ for its index"
    ),
    "cd_adam": _both_ways(
        _cd_adam, "the code of arXiv 2111.00705: up-link of a worker, and one copy of the down-link"
    ),
    "async_compressed": _both_ways(
        _async_compressed, "recalled for arXiv 1806.06573: nonzeros with their indices"
    ),
    "efficient_adam": _both_ways(
        _efficient_adam, "derived here for arXiv 2205.14473: b bits an element, 32 a scale"
    ),
}


def convention(name: str) -> Convention:
    """The convention `name`; raises ConfigError."""
    if name not in CONVENTIONS:
        raise ConfigError(f"log.convention: {name!r}, allowed: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
