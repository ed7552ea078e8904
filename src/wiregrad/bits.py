"""The three ways of counting bits, never mixed.

wire     8 × the length of the real payloads (`Roundtrip.wire_bits`, `Payload.wire_bits`);
formula  a compressor's closed form, equal to the payload body (`Roundtrip.body_bits`);
paper    the books of the paper under test: the conventions of this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from wiregrad.compressors.base import Compressor, Params
from wiregrad.errors import ConfigError
from wiregrad.layout import Shape


@dataclass(frozen=True)
class Message:
    """One sent message, as a paper's books see it."""

    compressor: Compressor
    shapes: tuple[Shape, ...]
    params: tuple[Params, ...]
    body_bits: int

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
    if name in {"scaled_sign", "block_sign"}:
        return message.numel
    if name in {"top_k", "rand_k"}:
        return 32 * sum(block[0] for block in message.params)
    if name == "identity":
        return 32 * message.numel
    return message.body_bits


def _free(_: Message) -> int:
    return 0


CONVENTIONS: dict[str, Convention] = {
    "formula": Convention(
        lambda m: m.body_bits, lambda m: m.body_bits, "payload bodies, in closed form"
    ),
    "comp_ams": Convention(
        _comp_ams_uplink,
        _free,
        "arXiv 2205.05632, figures 1-2: up-link only; scales and indices are not counted",
    ),
}


def convention(name: str) -> Convention:
    """The convention `name`; raises ConfigError."""
    if name not in CONVENTIONS:
        raise ConfigError(f"log.convention: {name!r}, allowed: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
