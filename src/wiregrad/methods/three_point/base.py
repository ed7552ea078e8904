"""What a three-point compressor C_{h,y}(x) is.

h is what the receivers hold of the sender, y the sender's previous vector, x its present one; at
the workers h = g_i, y = ∇f_i(x^{t-1}), x = ∇f_i(x^t). Each has constants A and B with

    E‖C_{h,y}(x) - x‖² <= (1 - A)‖h - y‖² + B‖x - y‖²

(`constants`). The channel carries the change from h to C_{h,y}(x), so that a receiver only needs
the mean of the h's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic_core import core_schema

from wiregrad.comm.channel import Channel
from wiregrad.compressors import Compressor
from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import Registry
from wiregrad.methods.base import Step
from wiregrad.methods.premises import AB, Dimensions

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


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
