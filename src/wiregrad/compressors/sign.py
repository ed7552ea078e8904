"""One bit an element: signs times a scale, for the whole vector or in blocks."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic
import torch

from wiregrad import kernels, wire
from wiregrad.compressors.base import Compressor, Content, Contract, EncodedBlock, Params, register
from wiregrad.compressors.encoded_block import passes, stack_blocks
from wiregrad.compressors.identity import values_from
from wiregrad.compressors.reduce import VISITED, mean_abs, root_mean_square, scale_dtype
from wiregrad.compressors.signs import SignBlock, packed_signs
from wiregrad.core.layout import BlockKind, Shape
from wiregrad.kernels import sign as kernel
from wiregrad.kernels.draws import Generators


class _SignCompressor(Compressor):
    """Body: the scales, then d bits."""

    @property
    @abstractmethod
    def _square(self) -> bool:
        """Whether a scale is the root mean square of its elements, else their mean size."""

    @abstractmethod
    def _size(self, numel: int) -> int:
        """Elements that share a scale."""

    @abstractmethod
    def _params_of(self, size: int) -> Params:
        """The block parameters."""

    def encode_block(self, x: torch.Tensor, generators: Generators, shape: Shape) -> EncodedBlock:
        size = self._size(x.shape[-1])
        if kernels.supports(x):
            found, _ = kernel.encode(x, None, size, square=self._square, subtract=False)
            return SignBlock(found.bits, found.scales, size, self._params_of(size))
        return stack_blocks([self._plain(x[rows], size) for rows in passes(*x.shape)])

    def content(self, shape: Shape, params: Params) -> Content:
        d = math.prod(shape)
        scales = -(-d // self._size(d)) if d else 1  # conventions charge it for every block
        return Content(numel=d, signs=d, scales=scales)

    def _plain(self, x: torch.Tensor, size: int) -> SignBlock:
        norm = root_mean_square if self._square else mean_abs
        scales = torch.cat([norm(run) for run in _runs(x, size)], dim=-1)
        return SignBlock(
            packed_signs(x), scales.to(scale_dtype(x.dtype)), size, self._params_of(size)
        )

    def encode_block_with_feedback(
        self, residual: torch.Tensor, x: torch.Tensor | None, generators: Generators, shape: Shape
    ) -> EncodedBlock:
        size = self._size(residual.shape[-1])
        if not kernels.supports(residual, x):
            return stack_blocks(
                [
                    self._plain_feedback(residual[rows], None if x is None else x[rows], size)
                    for rows in passes(*residual.shape)
                ]
            )
        found, finite = kernel.encode(residual, x, size, square=self._square)
        if not finite:
            raise self.not_finite()
        return SignBlock(found.bits, found.scales, size, self._params_of(size))

    def _plain_feedback(
        self, residual: torch.Tensor, x: torch.Tensor | None, size: int
    ) -> SignBlock:
        by_numpy = residual.dtype == torch.float32 and residual.device.type == "cpu"
        if by_numpy and size == residual.shape[-1] and not self._square:
            block = self._plain_sum(residual, x)
        else:
            if x is not None:
                residual += x
            block = self._plain(residual, size)
        if not bool((block.scales < torch.finfo(block.scales.dtype).max).all()):
            self.require_finite(residual)  # what is not finite shows in its scale
        block.subtract_from(residual)
        return block

    def _plain_sum(self, residual: torch.Tensor, x: torch.Tensor | None) -> SignBlock:
        """Add x to the residual and take signs and scales, in one pass; float32 on the CPU."""
        n, d = residual.shape
        bits = np.empty((n, -(-d // 8)), dtype=np.uint8)
        room = np.empty((n, min(d, VISITED)), dtype=np.bool_)
        e, g = residual.numpy(), None if x is None else x.numpy()

        def add(columns: slice) -> None:
            some = e[:, columns]
            if g is not None:
                np.add(some, g[:, columns], out=some)
            negative = np.less(some, 0, out=room[:, : some.shape[1]])
            into = bits[:, columns.start // 8 : -(-columns.stop // 8)]
            into[:] = np.packbits(negative, axis=-1, bitorder="little")

        scales = mean_abs(residual, first=add)[:, None].float()
        return SignBlock(torch.from_numpy(bits), scales, d, self._params_of(d))

    @classmethod
    def _read(cls, body: bytes, numel: int, size: int, dtype: torch.dtype) -> torch.Tensor:
        kind = scale_dtype(dtype)
        count = -(-numel // size)
        split = count * kind.itemsize
        scales = read_scales(body[:split], count, kind)
        wire.unpack_bits(body[split:], numel, 1)  # checks length and filling bits
        bits = torch.frombuffer(bytearray(body[split:]), dtype=torch.uint8)
        out = torch.empty(1, numel, dtype=dtype)
        SignBlock(bits[None], scales[None], size).decode(slice(0, 1), out)
        return out[0]

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
class ScaledSign(_SignCompressor):
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

    @property
    def _square(self) -> bool:
        return self.norm == "l2"

    def _size(self, numel: int) -> int:
        return numel

    def _params_of(self, size: int) -> Params:
        return ()

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        return cls._read(body, numel, numel, dtype)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        return cls._bytes(numel, numel, dtype)


@register("block_sign")
@dataclass(frozen=True, kw_only=True)
class BlockSign(_SignCompressor):
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

    @property
    def _square(self) -> bool:
        return False

    def _size(self, numel: int) -> int:
        return min(self.block_size or numel, numel)

    def _params_of(self, size: int) -> Params:
        return (size,)

    @classmethod
    def _decode(cls, body: bytes, numel: int, params: Params, dtype: torch.dtype) -> torch.Tensor:
        return cls._read(body, numel, params[0], dtype)

    @classmethod
    def _body_bytes(cls, numel: int, params: Params, dtype: torch.dtype) -> int:
        if not 1 <= params[0] <= numel:
            raise wire.CorruptPayload(f"block size {params[0]}, allowed: 1 to {numel}")
        return cls._bytes(numel, params[0], dtype)
