"""Three-point compressors C_{h,y}(x), the mechanisms of the 3PC family, one class each.

h is what the receivers hold of the sender, y the sender's previous vector, x its present one; at
the workers h = g_i, y = ∇f_i(x^{t-1}), x = ∇f_i(x^t). Each has constants A and B with

    E‖C_{h,y}(x) - x‖² <= (1 - A)‖h - y‖² + B‖x - y‖²

(`constants`). The channel carries the change from h to C_{h,y}(x), so that a receiver only needs
the mean of the h's.
Source: Richtárik et al., arXiv 2202.00998 (3PC), and the papers that the methods name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pydantic
import torch
from pydantic_core import core_schema

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import Registry
from wiregrad.methods.base import NonNegative, Probability, Step
from wiregrad.methods.premises import AB, Dimensions
from wiregrad.methods.rows import square
from wiregrad.methods.three_point import constants

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

Levels = Annotated[tuple[Compressor, ...], pydantic.Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class ThreePointCompressor(ABC):
    """Base of all mechanisms: frozen dataclasses without state."""

    name: ClassVar[str]

    @property
    def looks_back(self) -> bool:
        """Whether C_{h,y}(x) depends on y; if not, y may be empty."""
        return True

    @abstractmethod
    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        """Send the change from h to C_{h,y}(x), and return C_{h,y}(x). All are `[..., n, d]`."""

    @abstractmethod
    def constants(self, size: Dimensions) -> AB:
        """A and B on vectors of these dimensions; NotCovered for a compressor of another kind."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        if cls is not ThreePointCompressor:
            return handler(source)
        return core_schema.no_info_plain_validator_function(registry.validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if cls is not ThreePointCompressor:
            return handler(schema)
        return {  # the names alone: a mechanism may hold another one, and the schema would not end
            "title": "a three-point compressor",
            "type": "object",
            "properties": {"name": {"enum": list(registry)}},
            "required": ["name"],
        }


registry: Registry[ThreePointCompressor] = Registry("three-point compressor")
mechanism = registry.register


def without_draws(compressor: Compressor, what: str) -> None:
    """Raises ConfigError for a compressor that draws random numbers; `what` needs it not to."""
    if compressor.random:
        raise ConfigError(f"compressor: {what} needs one without draws, {compressor.name} draws")


@mechanism("ef21")
@dataclass(frozen=True, kw_only=True)
class EF21Mechanism(ThreePointCompressor):
    """EF21: C_{h,y}(x) = h + C(x - h). Source: arXiv 2106.05203, 2202.00998."""

    compressor: Compressor
    """C, contractive."""

    @property
    def looks_back(self) -> bool:
        """There is no y in it."""
        return False

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        return h + channel(self.compressor, x - h)

    def constants(self, size: Dimensions) -> AB:
        return constants.ef21(size.alpha(self.compressor))


@mechanism("lag")
@dataclass(frozen=True, kw_only=True)
class LAGMechanism(ThreePointCompressor):
    """LAG: C_{h,y}(x) = x where ‖x - h‖² > zeta ‖x - y‖², else h. Source: arXiv 2202.00998."""

    zeta: NonNegative
    """ζ >= 0, of the trigger."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        news = square(x - h) > self.zeta * square(x - y)
        channel.dense(x - h, where=news)
        return torch.where(news[..., None], x, h)

    def constants(self, size: Dimensions) -> AB:
        return constants.lag(self.zeta)


@mechanism("clag")
@dataclass(frozen=True, kw_only=True)
class CLAGMechanism(ThreePointCompressor):
    """CLAG: C_{h,y}(x) = h + C(x - h) where ‖x - h‖² > zeta ‖x - y‖², else h.

    Source: arXiv 2202.00998.
    """

    compressor: Compressor
    """C, contractive."""
    zeta: NonNegative
    """ζ >= 0, of the trigger."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        news = square(x - h) > self.zeta * square(x - y)
        return h + channel(self.compressor, x - h, where=news)

    def constants(self, size: Dimensions) -> AB:
        return constants.clag(size.alpha(self.compressor), self.zeta)


@mechanism("adacgd")
@dataclass(frozen=True, kw_only=True)
class AdaCGDMechanism(ThreePointCompressor):
    """AdaCGD: as little as will do, of m compressors. Source: arXiv 2211.00188.

    C_{h,y}(x) = h where ‖x - h‖² <= zeta ‖x - y‖²; else h + C_j(x - h) for the first j < m with
    ‖x - h - C_j(x - h)‖² <= zeta ‖x - y‖²; else h + C_m(x - h).
    """

    compressors: Levels
    """C_1..C_m, contractive, the cheapest first."""
    zeta: NonNegative
    """ζ >= 0, of the trigger."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        gap, reach = x - h, self.zeta * square(x - y)

        def near(sent: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return square(gap.flatten(0, -2)[rows] - sent) <= reach.flatten()[rows]

        return h + channel.cascade(self.compressors, gap, near, where=square(gap) > reach)

    def constants(self, size: Dimensions) -> AB:
        return constants.adacgd(size.alpha(self.compressors[-1]), self.zeta)


@mechanism("three_pc_v1")
@dataclass(frozen=True, kw_only=True)
class ThreePCv1Mechanism(ThreePointCompressor):
    """3PCv1: C_{h,y}(x) = y + C(x - y). Source: arXiv 2202.00998.

    No receiver holds y, so C_{h,y}(x) - h has to be sent, densely: d values a message, not the K
    of C that the published code counts.
    """

    compressor: Compressor
    """C, contractive and without draws: what it decodes to is needed before it is sent."""

    def __post_init__(self) -> None:
        without_draws(self.compressor, "3PCv1")

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        new = y + channel.decoded(self.compressor, x - y)
        channel.dense(new - h)
        return new

    def constants(self, size: Dimensions) -> AB:
        return constants.v1(size.alpha(self.compressor))


@mechanism("three_pc_v2")
@dataclass(frozen=True, kw_only=True)
class ThreePCv2Mechanism(ThreePointCompressor):
    """3PCv2: C_{h,y}(x) = b + C(x - b), b = h + Q(x - y): a message of two parts.

    Source: arXiv 2202.00998.
    """

    compressor: Compressor
    """C, contractive."""
    unbiased: Compressor
    """Q, unbiased."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = h + channel(self.unbiased, x - y)
        return b + channel.append_part(self.compressor, x - b)

    def constants(self, size: Dimensions) -> AB:
        return constants.v2(size.alpha(self.compressor), size.omega(self.unbiased))


@mechanism("three_pc_v3")
@dataclass(frozen=True, kw_only=True)
class ThreePCv3Mechanism(ThreePointCompressor):
    """3PCv3: C_{h,y}(x) = b + C(x - b), b = C'_{h,y}(x): a message of two parts.

    Source: arXiv 2202.00998, recalled.
    """

    compressor: Compressor
    """C, contractive."""
    inner: ThreePointCompressor
    """C', another three-point compressor."""

    @property
    def looks_back(self) -> bool:
        """As the inner mechanism."""
        return self.inner.looks_back

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = self.inner.send(h, y, x, channel, step)
        return b + channel.append_part(self.compressor, x - b)

    def constants(self, size: Dimensions) -> AB:
        return constants.v3(size.alpha(self.compressor), self.inner.constants(size))


@mechanism("three_pc_v4")
@dataclass(frozen=True, kw_only=True)
class ThreePCv4Mechanism(ThreePointCompressor):
    """3PCv4: C_{h,y}(x) = b + C(x - b), b = h + C_2(x - h): a message of two parts.

    Source: arXiv 2202.00998.
    """

    compressor: Compressor
    """C, contractive: the paper's C_1."""
    second: Compressor
    """C_2, contractive."""

    @property
    def looks_back(self) -> bool:
        """There is no y in it."""
        return False

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = h + channel(self.second, x - h)
        return b + channel.append_part(self.compressor, x - b)

    def constants(self, size: Dimensions) -> AB:
        return constants.v4(size.alpha(self.compressor), size.alpha(self.second))


@mechanism("three_pc_v5")
@dataclass(frozen=True, kw_only=True)
class ThreePCv5Mechanism(ThreePointCompressor):
    """3PCv5: C_{h,y}(x) = x with probability p, by one coin for all; else h + C(x - y).

    Source: arXiv 2202.00998.
    """

    compressor: Compressor
    """C, contractive."""
    p: Probability
    """In (0, 1]."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        if step.coin(self.p):
            channel.dense(x - h)
            return x
        return h + channel(self.compressor, x - y)

    def constants(self, size: Dimensions) -> AB:
        return constants.v5(size.alpha(self.compressor), self.p)
