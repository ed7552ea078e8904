"""What a compressor is: a map from a vector to a payload and back, with a stated constant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from pydantic_core import core_schema

from wiregrad import wire
from wiregrad.compressors.blocked import Blocked
from wiregrad.compressors.code import Code, Params, passes, stacked
from wiregrad.compressors.contract import Contract
from wiregrad.compressors.packet import Roundtrip
from wiregrad.compressors.reduce import all_finite
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.layout import BlockKind, Layout, Shape
from wiregrad.core.registry import Registry
from wiregrad.kernels.draws import Generators

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = [
    "Blocked",
    "Code",
    "Compressor",
    "Contract",
    "Params",
    "Roundtrip",
    "all_finite",
    "decode",
    "register",
    "registry",
]
C = TypeVar("C", bound="Compressor")


@dataclass(frozen=True, kw_only=True)
class Compressor(ABC):
    """Base of all compressors: frozen dataclasses, without state, drawing from given generators.

    A family implements the block primitives below: `contract`, `code`, `_decode`, `_body_bytes`,
    and where there is a kernel for it, `_fused`. Framing, batching, blocks and the checks
    are here. All vectors are finite: NaN or Inf raises NonFiniteError, which a runtime records as
    divergence.
    """

    name: ClassVar[str]
    codec: ClassVar[int]
    """The family's number on the wire: unique, never reused."""
    n_params: ClassVar[int] = 0
    """Parameters a block carries in the payload's block table."""
    random: ClassVar[bool] = False
    """Whether it draws: then a generator is required."""
    default_blocks: ClassVar[BlockKind] = "whole"
    source: ClassVar[str]
    """Where the definition and the constant come from."""

    @abstractmethod
    def contract(self, shape: Shape) -> Contract:
        """Class and constant on one block of this shape."""

    @abstractmethod
    def code(self, x: torch.Tensor, generators: Generators, shape: Shape) -> Code:
        """The messages of the rows of `x` `[n, d]`, finite, d > 0; must not write to `x`.

        Raises NonFiniteError when what is decoded would leave the range of x's type.
        """

    def feedback(
        self,
        residual: torch.Tensor,
        x: torch.Tensor | None,
        generators: Generators,
        shape: Shape,
    ) -> Code:
        """The messages of residual + x; residual ← residual + x − what is decoded, all `[n, d]`.

        Raises NonFiniteError, also where an element is not finite; `residual` is undefined then.
        """
        found = self._fused(residual, x, generators, subtract=True)
        if found is not None:
            return found
        codes = []
        for rows in passes(*residual.shape):
            mine = residual[rows]
            if x is not None:
                mine += x[rows]
            self.require_finite(mine)
            drawing = None if generators is None else generators[rows]
            codes.append(self.code(mine, drawing, shape))
            codes[-1].subtract_from(mine)
        return stacked(codes)

    def _fused(
        self, e: torch.Tensor, g: torch.Tensor | None, generators: Generators, subtract: bool
    ) -> Code | None:
        """What `code` (of e) or, with `subtract`, `feedback` gives, by a kernel in one go.

        None where no kernel takes these tensors; nothing is drawn or written then.
        """
        return None

    def require_finite(self, x: torch.Tensor) -> None:
        """Raises NonFiniteError where `x` is not."""
        if not all_finite(x):
            raise self.not_finite()

    def not_finite(self) -> NonFiniteError:
        """What is raised for a vector that is not."""
        return NonFiniteError(f"{self.name}: NaN or Inf in the vector to compress")

    @classmethod
    @abstractmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        """The vector `[numel]` (on the CPU) of a block body; raises PayloadError."""

    @classmethod
    @abstractmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        """Closed form of a block body's length, bytes. Raises CorruptPayload on bad `params`."""

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Parameter sets that the conformance suite and `wiregrad compressors` build it with.

        A family with a parameter that has no default gives its own.
        """
        return [{}]

    # -- public -----------------------------------------------------------------------------

    def blocked(self, layout: Layout, kind: BlockKind = "auto") -> Blocked:
        """This compressor applied to each block of `layout` on its own."""
        return Blocked(self, layout.blocks(self.default_blocks if kind == "auto" else kind))

    def compress(self, x: torch.Tensor, generator: torch.Generator | None = None) -> wire.Payload:
        """The payload of one vector `[d]`; raises NonFiniteError."""
        return self._whole(x).compress(x, generator)

    def compress_rows(self, x: torch.Tensor, generators: Generators = None) -> list[wire.Payload]:
        """The payload of each row of `[n, d]`."""
        return self._whole(x).compress_rows(x, generators)

    def decompress(self, payload: wire.Payload) -> torch.Tensor:
        """The vector `[d]` of any payload; raises PayloadError."""
        return decode(payload)

    def roundtrip(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        generators: Generators = None,
    ) -> Roundtrip:
        """`decompress(compress(row))` for each row of `[..., d]`, to the bit, without the bytes."""
        return self._whole(x).roundtrip(x, out, generators)

    def _whole(self, x: torch.Tensor) -> Blocked:
        return Blocked(self, ((x.shape[-1],),))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        if cls is not Compressor:
            return handler(source)
        return core_schema.no_info_plain_validator_function(registry.validate)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) if cls is not Compressor else registry.json_schema()


registry: Registry[Compressor] = Registry("compressor")


def register(name: str) -> Callable[[type[C]], type[C]]:
    """Class decorator: enter a family under its name and its codec's number."""

    def enter(cls: type[C]) -> type[C]:
        holder = _FAMILIES.setdefault(cls.codec, cls)
        if holder.__qualname__ != cls.__qualname__ or cls.codec == wire.EMPTY:
            raise ConfigError(f"codec {cls.codec} of {name!r} is taken")
        wire.CODECS[cls.codec] = cls.n_params
        return registry.register(name)(cls)

    return enter


_FAMILIES: dict[int, type[Compressor]] = {}


def decode(payload: wire.Payload) -> torch.Tensor:
    """The vector `[d]` (CPU) that any payload stands for; raises PayloadError.

    The codec is found by its number: no configuration of the sender is needed.
    """
    if payload.codec == wire.EMPTY:
        raise wire.PayloadError("an empty payload holds no vector")
    cls = _family(payload.codec)
    lengths = [_body_bytes(cls, block, payload.dtype) for block in payload.blocks]
    if sum(lengths) > len(payload.body):
        raise wire.TruncatedPayload(f"body of {len(payload.body)} bytes, expected {sum(lengths)}")
    if sum(lengths) < len(payload.body):
        raise wire.OversizedPayload(f"body of {len(payload.body)} bytes, expected {sum(lengths)}")
    out = torch.empty(payload.numel, dtype=payload.dtype)
    at = start = 0
    for block, length in zip(payload.blocks, lengths, strict=True):
        if block.numel:
            body = payload.body[at : at + length]
            out[start : start + block.numel] = cls._decode(
                body, block.numel, block.params, payload.dtype
            )
        at, start = at + length, start + block.numel
    if not all_finite(out):
        raise wire.CorruptPayload("the body decodes to NaN or Inf")
    return out


def _body_bytes(cls: type[Compressor], block: wire.Block, dtype: torch.dtype) -> int:
    if block.numel:
        return cls._body_bytes(block.numel, block.params, dtype)
    if any(block.params):
        raise wire.CorruptPayload("an empty block with parameters")
    return 0


def _family(codec: int) -> type[Compressor]:
    if codec not in _FAMILIES:
        raise wire.UnknownVersion(f"codec {codec}, allowed: {sorted(_FAMILIES)}")
    return _FAMILIES[codec]
