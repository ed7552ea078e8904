"""Three-point compressors C_{h,y}(x), the mechanisms of the 3PC family, one class each.

h is what the receivers hold of the sender, y the sender's previous vector, x its present one; at
the workers h = g_i, y = ∇f_i(x^{t-1}), x = ∇f_i(x^t). Each has constants A and B with

    E‖C_{h,y}(x) - x‖² <= (1 - A)‖h - y‖² + B‖x - y‖²

(`wiregrad.theory.three_pc`). What crosses the channel is what takes h to C_{h,y}(x), so that
receivers need the mean of the h's alone.
Source: Richtárik et al., arXiv 2202.00998 (3PC), and the paper that each class names.
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
from wiregrad.methods.base import Step

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

NonNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, pydantic.Field(gt=0, le=1)]
Levels = Annotated[tuple[Compressor, ...], pydantic.Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class ThreePointCompressor(ABC):
    """Base of all mechanisms: frozen dataclasses without state."""

    name: ClassVar[str]

    @property
    def looks_back(self) -> bool:
        """Whether y is looked at; else it may be anything."""
        return True

    @abstractmethod
    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        """Send what takes h to C_{h,y}(x), and return C_{h,y}(x). All are `[..., n, d]`."""

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
        return {  # by name alone: a mechanism may hold another one
            "title": "a three-point compressor",
            "type": "object",
            "properties": {"name": {"enum": list(registry)}},
            "required": ["name"],
        }


registry: Registry[ThreePointCompressor] = Registry("three-point compressor")
mechanism = registry.register


def square(x: torch.Tensor) -> torch.Tensor:
    """‖row‖² of each row of `[..., d]`."""
    return x.square().sum(-1)


def without_draws(compressor: Compressor, what: str) -> None:
    """Raises ConfigError for a compressor that draws."""
    if compressor.random:
        raise ConfigError(f"compressor: {what} needs one without draws, {compressor.name} draws")


@mechanism("ef21")
@dataclass(frozen=True, kw_only=True)
class EF21(ThreePointCompressor):
    """C_{h,y}(x) = h + C(x - h)."""

    compressor: Compressor

    @property
    def looks_back(self) -> bool:
        """No y in it."""
        return False

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        return h + channel(self.compressor, x - h)


@mechanism("lag")
@dataclass(frozen=True, kw_only=True)
class LAG(ThreePointCompressor):
    """C_{h,y}(x) = x where ‖x - h‖² > zeta ‖x - y‖², else h."""

    zeta: NonNegative

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        news = square(x - h) > self.zeta * square(x - y)
        channel.dense(x - h, where=news)
        return torch.where(news[..., None], x, h)


@mechanism("clag")
@dataclass(frozen=True, kw_only=True)
class CLAG(ThreePointCompressor):
    """C_{h,y}(x) = h + C(x - h) where ‖x - h‖² > zeta ‖x - y‖², else h."""

    compressor: Compressor
    zeta: NonNegative

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        news = square(x - h) > self.zeta * square(x - y)
        return h + channel(self.compressor, x - h, where=news)


@mechanism("adacgd")
@dataclass(frozen=True, kw_only=True)
class AdaCGD(ThreePointCompressor):
    """C_{h,y}(x) = h where ‖x - h‖² <= zeta ‖x - y‖²; else h + C_j(x - h) for the first j < m with
    ‖x - h - C_j(x - h)‖² <= zeta ‖x - y‖²; else h + C_m(x - h).
    """  # noqa: D205 - an equation

    compressors: Levels
    """C_1..C_m, the cheapest first."""
    zeta: NonNegative

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        gap, reach = x - h, self.zeta * square(x - y)

        def near(sent: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return square(gap.flatten(0, -2)[rows] - sent) <= reach.flatten()[rows]

        return h + channel.cascade(self.compressors, gap, near, where=square(gap) > reach)


@mechanism("three_pc_v1")
@dataclass(frozen=True, kw_only=True)
class ThreePCv1(ThreePointCompressor):
    """C_{h,y}(x) = y + C(x - y).

    No receiver holds y, so that C_{h,y}(x) - h has to be sent, densely: d values a message, not
    the K of C that the published code counts.
    """

    compressor: Compressor

    def __post_init__(self) -> None:
        without_draws(self.compressor, "3PCv1")

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        new = y + channel.decoded(self.compressor, x - y)
        channel.dense(new - h)
        return new


@mechanism("three_pc_v2")
@dataclass(frozen=True, kw_only=True)
class ThreePCv2(ThreePointCompressor):
    """C_{h,y}(x) = b + C(x - b), b = h + Q(x - y); Q unbiased, C contractive: two parts."""

    compressor: Compressor
    unbiased: Compressor
    """Q."""

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = h + channel(self.unbiased, x - y)
        return b + channel.append_part(self.compressor, x - b)


@mechanism("three_pc_v3")
@dataclass(frozen=True, kw_only=True)
class ThreePCv3(ThreePointCompressor):
    """C_{h,y}(x) = b + C(x - b), b = C'_{h,y}(x) of another three-point compressor: two parts."""

    compressor: Compressor
    inner: ThreePointCompressor
    """C'."""

    @property
    def looks_back(self) -> bool:
        """As the inner one."""
        return self.inner.looks_back

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = self.inner.send(h, y, x, channel, step)
        return b + channel.append_part(self.compressor, x - b)


@mechanism("three_pc_v4")
@dataclass(frozen=True, kw_only=True)
class ThreePCv4(ThreePointCompressor):
    """C_{h,y}(x) = b + C(x - b), b = h + C_2(x - h): two parts."""

    compressor: Compressor
    second: Compressor
    """C_2."""

    @property
    def looks_back(self) -> bool:
        """No y in it."""
        return False

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        b = h + channel(self.second, x - h)
        return b + channel.append_part(self.compressor, x - b)


@mechanism("three_pc_v5")
@dataclass(frozen=True, kw_only=True)
class ThreePCv5(ThreePointCompressor):
    """C_{h,y}(x) = x with probability p, of one coin for all senders; else h + C(x - y)."""

    compressor: Compressor
    p: Probability

    def send(
        self, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, channel: Channel, step: Step
    ) -> torch.Tensor:
        if step.coin(self.p):
            channel.dense(x - h)
            return x
        return h + channel(self.compressor, x - y)
