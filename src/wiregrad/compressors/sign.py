"""One bit an element: signs times a scale, for the whole vector or in blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import pydantic
import torch

from wiregrad import wire
from wiregrad.compressors.base import Contract, Generators, Params, register
from wiregrad.compressors.coded import Coded
from wiregrad.compressors.identity import value_bytes, values_from
from wiregrad.compressors.reduce import mean_abs, root_mean_square, scale_dtype
from wiregrad.layout import BlockKind, Shape


class SignCode(NamedTuple):
    """`negative` bool `[n, d]`, one of the `scales` `[n, ⌈d/size⌉]` for every `size` elements."""

    negative: torch.Tensor
    scales: torch.Tensor
    size: int


class _Signs(Coded[SignCode]):
    """Body: the scales, then d bits, set where the element is negative (so sign(±0) = +1)."""

    @classmethod
    def _dequantise(cls, code: SignCode, out: torch.Tensor) -> None:
        at = 0
        runs = zip(_runs(code.negative, code.size), _runs(out, code.size), strict=True)
        for negative, into in runs:
            scale = code.scales[:, at : at + into.shape[1], None].to(out.dtype)
            torch.where(negative, -scale, scale, out=into)
            at += into.shape[1]

    @classmethod
    def _pack(cls, code: SignCode, params: Params) -> bytes:
        bits = wire.pack_bits(code.negative[0].cpu().numpy(), 1)
        return value_bytes(code.scales[0]) + bits

    @classmethod
    def _read(cls, body: bytes, numel: int, size: int, dtype: torch.dtype) -> SignCode:
        kind = scale_dtype(dtype)
        count = -(-numel // size)
        split = count * kind.itemsize
        scales = read_scales(body[:split], count, kind)
        bits = wire.unpack_bits(body[split:], numel, 1)
        return SignCode(torch.from_numpy(bits)[None] != 0, scales[None], size)

    @staticmethod
    def _bytes(numel: int, size: int, dtype: torch.dtype) -> int:
        return -(-numel // size) * scale_dtype(dtype).itemsize + wire.packed_bytes(numel, 1)


def read_scales(data: bytes, count: int, dtype: torch.dtype) -> torch.Tensor:
    """`count` scales: finite and not negative, or CorruptPayload."""
    scales = values_from(data, count, dtype)
    if torch.signbit(scales).any():
        raise wire.CorruptPayload("a scale is negative")
    return scales


def _runs(x: torch.Tensor, size: int) -> list[torch.Tensor]:
    """`x` `[n, d]` as `[n, ⌊d/size⌋, size]`, and the shorter rest `[n, 1, d mod size]`."""
    full = x.shape[-1] // size * size
    runs = [torch.unflatten(x[:, :full], -1, (-1, size))] if full else []
    return runs if full == x.shape[-1] else [*runs, x[:, None, full:]]


@register("scaled_sign")
@dataclass(frozen=True, kw_only=True)
class ScaledSign(_Signs):
    """C(x) = s·sign(x) with sign(0) = +1 and one scale s, rounded to the scale's float type.

    l1: s = ‖x‖₁/d, δ = ‖x‖₁²/(d‖x‖₂²) for the vector at hand, 1/d in the worst case (one-hot).
    l2: s = ‖x‖₂/√d, which errs by 2‖x‖₂² − 2‖x‖₁‖x‖₂/√d: a contraction only where
    ‖x‖₁ > √d‖x‖₂/2. The worst case is one-hot, 2 − 2/√d, which is 1 or more from d = 4 on: biased.
    """

    codec = 4
    source = (
        "l1: arXiv 1901.09847 (EF-signSGD), arXiv 2111.00705 (CD-Adam); "
        "l2: recalled from arXiv 2102.02888 (1-bit Adam), bound derived here"
    )

    norm: Literal["l1", "l2"] = "l1"

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{"norm": "l1"}, {"norm": "l2"}]

    def contract(self, shape: Shape) -> Contract:
        d = math.prod(shape)
        if self.norm == "l1":
            return Contract("contractive", 1 / d)
        return Contract.of_error(2 - 2 / math.sqrt(d))

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SignCode:
        norm = mean_abs if self.norm == "l1" else root_mean_square
        return SignCode(x < 0, norm(x).to(scale_dtype(x.dtype))[:, None], x.shape[-1])

    def _params(self, code: SignCode, numel: int) -> list[Params]:
        return [()] * len(code.negative)

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> SignCode:
        return cls._read(body, numel, numel, dtype)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        return cls._bytes(numel, numel, dtype)


@register("block_sign")
@dataclass(frozen=True, kw_only=True)
class BlockSign(_Signs):
    """C(x) = sign(x)·‖x_B‖₁/|B| in every block B, sign(0) = +1; δ = min 1/|B|.

    The blocks are the layers of the network (`blocks: auto`); `block_size` cuts each of them
    further, into runs of that many elements, the last one shorter.
    """

    codec = 5
    n_params = 1
    default_blocks: ClassVar[BlockKind] = "per_layer"
    source = "arXiv 2205.05632 (COMP-AMS), Block-Sign"

    block_size: pydantic.PositiveInt | None = None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        return [{}, {"block_size": 1}, {"block_size": 5}, {"block_size": 16}]

    def contract(self, shape: Shape) -> Contract:
        return Contract("contractive", 1 / self._size(math.prod(shape)))

    def _size(self, numel: int) -> int:
        return min(self.block_size or numel, numel)

    def _quantise(self, x: torch.Tensor, generators: Generators, shape: Shape) -> SignCode:
        size = self._size(x.shape[-1])
        scales = torch.cat([mean_abs(run) for run in _runs(x, size)], dim=-1)
        return SignCode(x < 0, scales.to(scale_dtype(x.dtype)), size)

    def _params(self, code: SignCode, numel: int) -> list[Params]:
        return [(code.size,)] * len(code.negative)

    @classmethod
    def _unpack(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> SignCode:
        return cls._read(body, numel, params[0], dtype)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        if not 1 <= params[0] <= numel:
            raise wire.CorruptPayload(f"block size {params[0]}, allowed: 1 to {numel}")
        return cls._bytes(numel, params[0], dtype)
