"""What a compressor is: a map from a vector to a payload and back, with a stated constant."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from pydantic_core import core_schema

from wiregrad import wire
from wiregrad.errors import ConfigError, NonFiniteError
from wiregrad.layout import BlockKind, Layout, Shape
from wiregrad.registry import Registry

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

C = TypeVar("C", bound="Compressor")
Params = tuple[int, ...]
Generators = Sequence[torch.Generator] | None


@dataclass(frozen=True)
class Contract:
    """The class of a compressor and its constant, for vectors of one size.

    contractive: E‖C(x) − x‖² ≤ (1 − constant)‖x‖², 0 < constant ≤ 1 (δ);
    unbiased: E Q(x) = x and E‖Q(x)‖² ≤ constant·‖x‖², constant ≥ 1 (α; ω = α − 1);
    biased: neither; only E‖C(x) − x‖² ≤ constant·‖x‖² with constant ≥ 1.

    All hold up to the rounding of the float type, and up to an error of its smallest normal number
    an element (denormal numbers).
    """

    kind: Literal["contractive", "unbiased", "biased"]
    constant: float

    @staticmethod
    def of_error(factor: float) -> Contract:
        """What E‖C(x) − x‖² ≤ factor·‖x‖² amounts to."""
        if factor < 1:
            return Contract("contractive", 1 - factor)
        return Contract("biased", factor)

    @property
    def error(self) -> float:
        """The bound on E‖C(x) − x‖² / ‖x‖²: 1 − δ, α − 1 = ω, or the constant."""
        if self.kind == "contractive":
            return 1 - self.constant
        return self.constant - 1 if self.kind == "unbiased" else self.constant


class Roundtrip(NamedTuple):
    """What a receiver decodes, and what it cost: one entry of the lists per row."""

    decoded: torch.Tensor
    """`[..., d]`, of the input's dtype and device."""
    params: list[tuple[Params, ...]]
    """The parameters of every block."""
    body_bits: list[int]
    wire_bits: list[int]


@dataclass(frozen=True, kw_only=True)
class Compressor(ABC):
    """Base of all compressors: frozen dataclasses, without state, drawing from given generators.

    A family implements the four block primitives below; framing, batching, blocks and the checks
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
    def _roundtrip(
        self, x: torch.Tensor, out: torch.Tensor, generators: Generators, shape: Shape
    ) -> list[Params]:
        """Write what the receiver of each row of `x` `[n, d]` decodes to `out` `[n, d]`.

        d > 0. Returns each row's block parameters. `out` may be `x` itself.
        """

    @abstractmethod
    def _encode(
        self, x: torch.Tensor, generator: torch.Generator | None, shape: Shape
    ) -> tuple[Params, bytes]:
        """Block parameters and body of one vector `[d]`, d > 0."""

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


@dataclass(frozen=True)
class Blocked:
    """A compressor applied to each block of a vector on its own: one payload, one table entry each.

    The wrapper that turns any family into its per-tensor, per-layer or whole-vector form.
    """

    inner: Compressor
    shapes: tuple[Shape, ...]

    @property
    def numel(self) -> int:
        """D."""
        return sum(math.prod(shape) for shape in self.shapes)

    def contract(self) -> Contract:
        """Class and constant on the whole vector: those of the worst block."""
        contracts = [self.inner.contract(s) for s in self.shapes if math.prod(s)]
        return max(contracts, key=lambda c: c.error, default=Contract("contractive", 1.0))

    def compress(self, x: torch.Tensor, generator: torch.Generator | None = None) -> wire.Payload:
        """The payload of one vector `[d]`."""
        if x.dim() != 1:
            raise ValueError(f"compress takes one vector [d], got {tuple(x.shape)}")
        x = x.detach()
        self._check(x, None if generator is None else [generator], rows=1)
        blocks, bodies = [], []
        for shape, piece in self._pieces(x):
            numel = math.prod(shape)
            if numel:
                params, body = self.inner._encode(piece, generator, shape)
            else:
                params, body = self._empty_params(), b""
            blocks.append(wire.Block(numel, params))
            bodies.append(body)
        return wire.Payload(self.inner.codec, x.dtype, tuple(blocks), b"".join(bodies))

    def compress_rows(self, x: torch.Tensor, generators: Generators = None) -> list[wire.Payload]:
        """The payload of each row of `[n, d]`."""
        each = generators if generators is not None else [None] * len(x)
        return [self.compress(row, g) for row, g in zip(x, each, strict=True)]

    def roundtrip(
        self,
        x: torch.Tensor,
        out: torch.Tensor | None = None,
        generators: Generators = None,
    ) -> Roundtrip:
        """What the receivers of the rows of `[..., d]` decode, and what each costs.

        `out` (contiguous) may be `x`; where NonFiniteError is raised, its content is undefined.
        """
        n, d = math.prod(x.shape[:-1]), x.shape[-1]
        rows = x.detach().reshape(n, d)
        self._check(rows, generators, rows=n)
        target = torch.empty(x.shape, dtype=x.dtype, device=x.device) if out is None else out
        if target.shape != x.shape or target.dtype != x.dtype or target.device != x.device:
            raise ValueError("out must have the shape, float type and device of x")
        flat = target.view(n, d)
        params: list[list[Params]] = [[] for _ in rows]
        for (shape, piece), (_, into) in zip(self._pieces(rows), self._pieces(flat), strict=True):
            if not math.prod(shape):
                found = [self._empty_params()] * n
            else:
                found = self.inner._roundtrip(piece, into, generators, shape)
            for row, block in zip(params, found, strict=True):
                row.append(block)
        costs = _Costs(self, x.dtype)
        tables = [tuple(row) for row in params]
        return Roundtrip(
            target, tables, [costs[t][0] for t in tables], [costs[t][1] for t in tables]
        )

    def cost(self, params: tuple[Params, ...], dtype: torch.dtype) -> tuple[int, int]:
        """Body bits and wire bits of a payload with these block parameters, in closed form."""
        blocks = tuple(
            wire.Block(math.prod(s), p) for s, p in zip(self.shapes, params, strict=True)
        )
        body = sum(self.inner._body_bytes(b.numel, b.params, dtype) for b in blocks if b.numel)
        return 8 * body, 8 * (wire.header_bytes(self.inner.codec, blocks, body) + body)

    def _empty_params(self) -> Params:
        return (0,) * self.inner.n_params

    def _pieces(self, x: torch.Tensor) -> list[tuple[Shape, torch.Tensor]]:
        sizes = [math.prod(shape) for shape in self.shapes]
        return list(zip(self.shapes, torch.split(x, sizes, dim=-1), strict=True))

    def _check(self, x: torch.Tensor, generators: Generators, rows: int) -> None:
        if x.shape[-1] != self.numel:
            raise ValueError(f"vector of {x.shape[-1]} elements, expected {self.numel}")
        if self.inner.random and (generators is None or len(generators) != rows):
            raise ValueError(f"{self.inner.name} draws: one generator a row is required")
        if x.dtype not in wire.DTYPE_CODES:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in wire.DTYPE_CODES)
            raise ValueError(f"vector of {x.dtype}, allowed: {allowed}")
        if not all_finite(x):
            raise NonFiniteError(f"{self.inner.name}: NaN or Inf in the vector to compress")


class _Costs(dict[tuple[Params, ...], tuple[int, int]]):
    """Costs by block parameters: rows mostly share them, so each is worked out once."""

    def __init__(self, blocked: Blocked, dtype: torch.dtype) -> None:
        super().__init__()
        self.blocked, self.dtype = blocked, dtype

    def __missing__(self, params: tuple[Params, ...]) -> tuple[int, int]:
        self[params] = self.blocked.cost(params, self.dtype)
        return self[params]


def all_finite(x: torch.Tensor) -> bool:
    """Whether no element is NaN or Inf: one pass without a temporary."""
    return not x.numel() or all(math.isfinite(end) for end in torch.aminmax(x))


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
