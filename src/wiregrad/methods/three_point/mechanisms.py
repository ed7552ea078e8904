"""The three-point compressors of the 3PC family, one class each; `base` says what h, y and x are.

Source: Richtárik et al., arXiv 2202.00998 (3PC), and the papers that the methods name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pydantic
import torch

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.methods.base import NonNegative, Probability, Step
from wiregrad.methods.premises import AB, Dimensions
from wiregrad.methods.rows import square
from wiregrad.methods.three_point import constants
from wiregrad.methods.three_point.base import ThreePointCompressor, mechanism, without_draws

Levels = Annotated[tuple[Compressor, ...], pydantic.Field(min_length=1)]


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
