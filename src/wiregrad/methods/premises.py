"""What theorems assume of a method. A method says it itself; `wiregrad.theory` has the theorems.

`Method.premises` returns one of the dataclasses here, with the constants that the method has on
vectors of given dimensions, or None where no theorem of the suite covers it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from wiregrad.compressors.base import Compressor
from wiregrad.core.errors import NotCovered
from wiregrad.core.layout import Shape


class AB(NamedTuple):
    """A and B of a three-point compressor, 0 < A <= 1 and B >= 0 (arXiv 2202.00998).

    E‖C_{h,y}(x) - x‖² <= (1 - A)‖h - y‖² + B‖x - y‖²
    """

    A: float
    B: float

    @property
    def ratio(self) -> float:
        """√(B/A), as it enters the step sizes."""
        return math.sqrt(self.B / self.A)


@dataclass(frozen=True)
class Dimensions:
    """What the constants depend on beside the method itself."""

    shapes: Sequence[Shape]
    """Of the blocks that a vector is compressed in: ``[(d,)]`` for a whole vector."""
    n: int = 1
    """Number of workers."""

    def alpha(self, compressor: Compressor) -> float:
        """α of a contractive C, E‖C(x) - x‖² <= (1 - α)‖x‖²: that of the worst block.

        Raises NotCovered for a compressor that is not contractive.
        """
        contracts = [compressor.contract(shape) for shape in self.shapes if math.prod(shape)]
        if any(contract.kind != "contractive" for contract in contracts):
            raise NotCovered(f"{compressor.name} is not contractive, so it has no alpha")
        return min((contract.constant for contract in contracts), default=1.0)

    def omega(self, compressor: Compressor) -> float:
        """ω of an unbiased Q, E‖Q(x) - x‖² <= ω‖x‖²: that of the worst block; 0 for the identity.

        Raises NotCovered for a compressor that is not unbiased.
        """
        contracts = [compressor.contract(shape) for shape in self.shapes if math.prod(shape)]
        if any(contract.kind != "unbiased" and contract.error > 0 for contract in contracts):
            raise NotCovered(f"{compressor.name} is not unbiased, so it has no omega")
        return max((contract.error for contract in contracts), default=0.0)


@dataclass(frozen=True)
class ThreePoint:
    """The premise of the theorems of 3PC (`wiregrad.theory.three_pc`)."""

    ab: AB
    proven: bool = True
    """Whether they hold; if not, their step is only where the papers begin to tune the method."""


@dataclass(frozen=True)
class ThreePointBothWays:
    """A three-point compressor on each link (`wiregrad.theory.bidirectional`)."""

    uplink: AB
    """Of the workers: A, B."""
    downlink: AB
    """Of the server: A_M, B_M."""


@dataclass(frozen=True)
class LearnedShifts:
    """Compressed differences to shifts that learn the gradients: DIANA."""

    omega: float
    """ω of the unbiased compressor."""


@dataclass(frozen=True)
class CompressedSum:
    """Gradient descent on f = Σ f_i with compressed gradients (`wiregrad.theory.asynchronous`)."""

    compressor: Compressor
    """Q, to be unbiased."""
    at: Literal["server", "workers"]
    """Q(Σ ∇f_i(x)) of the complete gradient, or Σ Q(∇f_i(x)) of each worker's."""


Premises = ThreePoint | ThreePointBothWays | LearnedShifts | CompressedSum
