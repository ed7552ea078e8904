"""How a flat vector `[d]` is made of named tensors, and how it is cut into blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Shape = tuple[int, ...]
BlockKind = Literal["auto", "whole", "per_tensor", "per_layer"]
"""`auto` is the compressor's own default; `per_layer` joins a module's weight and bias."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the tensors that lie one after the other in the flat vector."""

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @staticmethod
    def flat(d: int) -> Layout:
        """One unnamed tensor of d elements."""
        return Layout(("x",), ((d,),))

    @property
    def numel(self) -> int:
        """Elements of the flat vector, d."""
        return sum(math.prod(shape) for shape in self.shapes)

    def slices(self) -> Iterator[tuple[str, Shape, slice]]:
        """Name, shape and place in the flat vector of each tensor."""
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + math.prod(shape)
            yield name, shape, slice(start, stop)
            start = stop

    def blocks(self, kind: BlockKind) -> tuple[Shape, ...]:
        """Shapes of the blocks that the compressor sees one by one, in order."""
        if kind == "per_tensor":
            return self.shapes
        if kind == "per_layer":
            named = zip(self.names, self.shapes, strict=True)
            layers = groupby(named, key=lambda item: item[0].rpartition(".")[0] or item[0])
            return tuple((sum(math.prod(s) for _, s in group),) for _, group in layers)
        return ((self.numel,),)
