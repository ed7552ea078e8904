"""How a flat vector `[d]` consists of named tensors, and how it is divided into blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Shape = tuple[int, ...]
BlockKind = Literal["auto", "whole", "per_tensor", "per_layer"]
"""`auto` is the default of the compressor; `per_layer` joins the weight and bias of a module."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the tensors that follow each other in the flat vector."""

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    """As many as there are names."""

    @staticmethod
    def flat(d: int) -> Layout:
        """A single tensor of d elements, named ``x``."""
        return Layout(("x",), ((d,),))

    @property
    def numel(self) -> int:
        """Number of elements of the flat vector, d."""
        return sum(math.prod(shape) for shape in self.shapes)

    def slices(self) -> Iterator[tuple[str, Shape, slice]]:
        """Name, shape and slice of the flat vector, for each tensor in order."""
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + math.prod(shape)
            yield name, shape, slice(start, stop)
            start = stop

    def blocks(self, kind: BlockKind) -> tuple[Shape, ...]:
        """Shapes of the blocks that are compressed one by one, in order."""
        if kind == "per_tensor":
            return self.shapes
        if kind == "per_layer":
            named = zip(self.names, self.shapes, strict=True)
            layers = groupby(named, key=lambda item: item[0].rpartition(".")[0] or item[0])
            return tuple((sum(math.prod(s) for _, s in group),) for _, group in layers)
        return ((self.numel,),)
