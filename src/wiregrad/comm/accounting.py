"""How bits are counted: three ways, never mixed.

wire     8 × the length of the payloads in bytes, headers included (`Payload.wire_bits`);
formula  the compressor's closed form of the payload body, equal to its length (`body_bits`);
paper    what the accounting convention of the paper under test charges: this module.

A convention prices the *content* of a message (`wiregrad.compressors.content`): how many values,
indices, signs, scales and symbols it holds. It knows no compressor by name, so that a compressor
from outside the package is priced by what it says that it sends: whatever sends elements with their
indices is priced as Top-k is. A message whose content a paper does not price is charged its formula
under that convention, which is exact; so is one whose compressor does not describe its content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from wiregrad.compressors.content import Content
from wiregrad.compressors.encoded import Encoded
from wiregrad.core.errors import ConfigError


@dataclass(frozen=True)
class MessageContent:
    """The content of one message, as a convention prices it."""

    blocks: tuple[Content, ...]
    body_bits: int
    """The price in closed form: bits of the payload body."""
    nonzeros: Callable[[], tuple[int, ...]]
    """Counts the elements of each block that decode to other than 0; it may have to decode them."""


Price = Callable[[MessageContent], int]
"""What a convention charges for a message, in bits."""
BlockPrice = Callable[[Content], int | None]
"""What a convention charges for a block, in bits; None: the paper does not price such content."""


@dataclass(frozen=True)
class Convention:
    """How a paper charges a message in each direction, in bits."""

    uplink: Price
    downlink: Price
    source: str
    """Where it comes from."""


def _sum_over_blocks(price: BlockPrice, message: MessageContent) -> int:
    """The sum over the blocks; the formula where the paper does not price one of them."""
    total = 0
    for block in message.blocks:
        bits = price(block)
        if bits is None:
            return message.body_bits
        total += bits
    return total


def _formula(message: MessageContent) -> int:
    return message.body_bits


def _free(_: MessageContent) -> int:
    return 0


def _comp_ams(block: Content) -> int | None:
    """Scales and indices are free: 32 d dense, d for signs, 32 k for k elements."""
    if block.is_dense or block.is_sparse:
        return 32 * block.values
    return block.signs if block.is_signs else None


def _cd_adam(block: Content) -> int | None:
    """32 d dense, d + 32 for the signs of a block, 64 for an element with its index."""
    if block.is_dense or block.is_sparse:
        return 32 * (block.values + block.indices)
    return block.signs + 32 if block.is_signs else None


def _efficient_adam(block: Content) -> int | None:
    """32 d dense; for symbols of b bits, and for signs, b d + 32 a block, padding being free."""
    if block.is_dense:
        return 32 * block.values
    if block.is_signs:
        return block.signs + 32
    return block.symbols * block.symbol_bits + 32 if block.is_quantised else None


def _values(block: Content, *, value_bits: int, with_indices: bool = False) -> int | None:
    """`value_bits` a value; ⌈log₂ d⌉ more for an index, or nothing."""
    if not (block.is_dense or block.is_sparse):
        return None
    index_bits = block.index_bits if with_indices else 0
    return value_bits * block.values + index_bits * block.indices


def _async_compressed_block(block: Content) -> int | None:
    """⌈log₂ d⌉ an index, 32 a value or norm, 1 a sign; a dense ternary element has 2 bits."""
    if not (block.is_dense or block.is_sparse or block.is_ternary):
        return None
    places = block.index_bits * block.indices + block.mask
    return 32 * (block.values + block.scales) + places + block.signs


def _async_compressed(message: MessageContent) -> int:
    """The sum over blocks; of a uniform quantiser only the elements other than 0 are charged.

    Each of them has an index, a sign and ⌈log₂ s⌉ bits for its level; a block has 32 for its norm.
    """
    if not all(block.uniform_levels for block in message.blocks):
        return _sum_over_blocks(_async_compressed_block, message)
    total = 0
    for block, nonzeros in zip(message.blocks, message.nonzeros(), strict=True):
        level_bits = (block.uniform_levels - 1).bit_length()
        total += 32 + nonzeros * (block.index_bits + 1 + level_bits)
    return total


def _blockwise(price: BlockPrice) -> Price:
    return partial(_sum_over_blocks, price)


def _both_ways(price: Price, source: str) -> Convention:
    return Convention(price, price, source)


CONVENTIONS: dict[str, Convention] = {
    "formula": _both_ways(_formula, "payload bodies, in closed form"),
    "comp_ams": Convention(
        _blockwise(_comp_ams),
        _free,
        "arXiv 2205.05632, figures 1-2: up-link only; scales and indices are not counted",
    ),
    "values": _both_ways(
        _blockwise(partial(_values, value_bits=32)),
        "arXiv 2202.00998, 2211.00188: 32 bits a value, indices free",
    ),
    "values_64": _both_ways(
        _blockwise(partial(_values, value_bits=64)),
        "the same on the quadratics of 2202.00998: 64 bits a value",
    ),
    "values_and_indices": _both_ways(
        _blockwise(partial(_values, value_bits=32, with_indices=True)),
        "32 bits a value, ⌈log₂ d⌉ for its index",
    ),
    "cd_adam": _both_ways(
        _blockwise(_cd_adam),
        "the code of arXiv 2111.00705: up-link of a worker, and one copy of the down-link",
    ),
    "async_compressed": _both_ways(
        _async_compressed, "recalled for arXiv 1806.06573: nonzeros with their indices"
    ),
    "efficient_adam": _both_ways(
        _blockwise(_efficient_adam),
        "derived here for arXiv 2205.14473: b bits an element, 32 a scale",
    ),
}


def convention(name: str) -> Convention:
    """The convention `name`; raises ConfigError."""
    if name not in CONVENTIONS:
        raise ConfigError(f"log.convention: {name!r}, allowed: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def price_rows(encoded: Encoded, prices: Sequence[Price]) -> list[tuple[int, ...]]:
    """What each of `prices` charges for each row of `encoded`, in bits: a tuple per row."""
    known: dict[object, tuple[int, ...]] = {}
    rows = []
    for row, (params, (body_bits, _)) in enumerate(
        zip(encoded.params, encoded.costs(), strict=True)
    ):
        charged = known.get(params)
        if charged is None:
            nonzeros = _Nonzeros(encoded, row)
            each = zip(encoded.shapes, params, strict=True)
            blocks = tuple(encoded.compressor.content(shape, block) for shape, block in each)
            content = MessageContent(blocks, body_bits, nonzeros)
            charged = tuple(price(content) for price in prices)
            if not nonzeros.counted:  # else the prices are this row's own
                known[params] = charged
        rows.append(charged)
    return rows


@dataclass
class _Nonzeros:
    """Counts the nonzeros of one row when asked, and remembers that it was."""

    encoded: Encoded
    row: int
    counted: bool = False

    def __call__(self) -> tuple[int, ...]:
        self.counted = True
        return self.encoded.count_nonzeros(self.row)
