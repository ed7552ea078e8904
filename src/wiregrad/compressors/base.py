"""What a compressor is: a map C from a vector to a payload and back, with a stated constant.

A compressor is a frozen dataclass: its parameters and nothing else. It holds no state (residuals
belong to methods) and draws from the generators that it is given, so that the same vector and the
same generator give the same bytes. On its way from a sender to its receivers a vector passes:

1.  `Compressor.blocked` cuts it into blocks: the whole vector, its tensors, or its layers.
2.  `Blocked.encode` compresses n rows `[n, d]` at once, block by block, into an `Encoded`. It stays
    on the device. Every block is an `EncodedBlock`, as compact as the bytes to come.
3.  `Encoded.payload` turns one row into a `wire.Payload`, whose bytes cross the wire, and `decode`
    turns any payload back into its vector, whatever the receiver has been configured with.
    `Encoded.decode` gives the same vectors, bit for bit, without the bytes: a simulation does so.
4.  `Encoded.costs` states the bits of each row's payload in closed form, equal to its length.

What C guarantees is its `contract`: the class (contractive, unbiased or biased) and the constant.
What a message holds, in values, indices, signs and symbols, is its `content`: the papers'
accounting conventions (`wiregrad.comm.accounting`) price it.

To add a compressor, write one file in this package: a frozen dataclass under `@register(name)` that
gives the primitives of `BlockCompressor`. The conformance suite finds and tests it. A vector with
NaN or Inf raises NonFiniteError, which a runtime records as divergence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic_core import core_schema

from wiregrad import wire
from wiregrad.compressors.blocked import Blocked
from wiregrad.compressors.content import Content
from wiregrad.compressors.contract import Contract
from wiregrad.compressors.encoded import Encoded, Roundtrip
from wiregrad.compressors.encoded_block import EncodedBlock, Params
from wiregrad.compressors.primitives import BlockCompressor
from wiregrad.compressors.reduce import all_finite
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import BlockKind, Layout
from wiregrad.core.registry import Registry
from wiregrad.kernels.draws import Generators

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = [
    "Blocked",
    "Compressor",
    "Content",
    "Contract",
    "Encoded",
    "EncodedBlock",
    "Params",
    "Roundtrip",
    "all_finite",
    "decode",
    "register",
    "registry",
]
C = TypeVar("C", bound="Compressor")


@dataclass(frozen=True, kw_only=True)
class Compressor(BlockCompressor):
    """Base of all compressors: the primitives of a family, applied to blocks and to whole vectors.

    The methods below take a vector as a single block; `blocked` cuts it.
    """

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
