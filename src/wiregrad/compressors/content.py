"""What a message holds, in the quantities that papers' accounting conventions price."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wiregrad.core.layout import Shape

_KINDS = ("values", "indices", "signs", "mask", "scales", "symbols", "other")
"""The fields of a content that are counts of numbers in a message."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """How many numbers of each kind the message of one block of `numel` elements holds.

    A compressor states it for its messages (`Compressor.content`), and each convention
    (`wiregrad.comm.accounting`) prices it, so that no convention has to know a compressor by name.
    """

    numel: int
    """Elements of the block, d."""
    values: int = 0
    """Elements sent as floating-point numbers."""
    indices: int = 0
    """Indices of the elements that are sent, each one of d."""
    signs: int = 0
    """Signs, one bit each."""
    mask: int = 0
    """Bits that say of each element whether it is sent."""
    scales: int = 0
    """Norms or other factors that elements share, as floating-point numbers."""
    symbols: int = 0
    """Elements sent as integers of `symbol_bits` bits."""
    symbol_bits: int = 0
    uniform_levels: int = 0
    """s, where a symbol is a sign and one of the levels 0, …, s, equally spaced; else 0."""
    other: int = 0
    """Numbers of any other kind, such as the entries of matrix factors."""

    @staticmethod
    def undescribed(shape: Shape) -> Content:
        """Of a block of this shape, of whose content nothing is known."""
        d = math.prod(shape)
        return Content(numel=d, other=d)

    def consists_of(self, *kinds: str) -> bool:
        """Whether it holds nothing but numbers of these kinds (names of fields)."""
        return not any(getattr(self, kind) for kind in _KINDS if kind not in kinds)

    @property
    def is_dense(self) -> bool:
        """Whether every element is sent as a floating-point number, and nothing else is."""
        return self.consists_of("values") and self.values == self.numel

    @property
    def is_sparse(self) -> bool:
        """Whether some elements are sent as floating-point numbers, each with its index."""
        return self.consists_of("values", "indices") and self.values == self.indices

    @property
    def is_signs(self) -> bool:
        """Whether the sign of every element is sent, with scales."""
        return self.consists_of("signs", "scales") and self.signs == self.numel

    @property
    def is_ternary(self) -> bool:
        """Whether some elements are sent by sign and place (index or mask), with scales."""
        located = self.indices == self.signs or self.mask == self.signs == self.numel
        return self.consists_of("signs", "indices", "mask", "scales") and located

    @property
    def is_quantised(self) -> bool:
        """Whether every element is sent as a symbol, with scales."""
        return (
            self.consists_of("symbols", "scales") and self.symbols == self.numel and self.scales > 0
        )

    @property
    def index_bits(self) -> int:
        """⌈log₂ d⌉, the bits of an index into the block; 0 for a block without elements."""
        return (self.numel - 1).bit_length() if self.numel else 0
