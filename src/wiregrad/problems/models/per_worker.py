"""Layers that compute one gradient per worker in a single pass over the samples of all workers.

All workers take gradients at the same x. One forward and one backward pass over their concatenated
batches therefore serve all of them; only the gradients of the weights must be kept apart. A layer
whose `rows` are set writes these gradients directly to the rows of the output `[m, d]`. Its inputs
then have ``m * b`` rows, ordered by worker, and autograd gets no gradient for its weights. Without
`rows` the layers are those of torch.

A network of such layers has an attribute `per_pass_of_16`: how many of 16 workers go through it in
one pass. The values were measured: larger passes do not fit the cache, smaller ones cost calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Grad = torch.Tensor | None
"""What a backward pass returns for one argument of the forward pass."""
Context = Any  # torch's FunctionCtx declares no types for saved attributes
Rows = dict[str, torch.Tensor]
"""Name of a parameter -> where its gradients are written, `[m, *shape]` for m workers."""


class PerWorker:
    """Mixin of the layers that compute one gradient per worker."""

    rows: Rows | None = None
    """Set by `gradients_into` during a pass."""


@contextmanager
def gradients_into(model: nn.Module, rows: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Within the block, a backward pass writes the gradients of each parameter to its rows.

    Args:
        model: A network whose layers with parameters are `PerWorker`.
        rows: Full name of a parameter -> a tensor `[m, *shape]`; empty for any other network.

    Raises:
        TypeError: A layer with parameters is not `PerWorker`.
    """
    layers: dict[PerWorker, Rows] = {}
    for name, out in rows.items():
        path, _, parameter = name.rpartition(".")
        layer = model.get_submodule(path)
        if not isinstance(layer, PerWorker):
            raise TypeError(f"{name}: {type(layer).__name__} gives no gradient per worker")
        layers.setdefault(layer, {})[parameter] = out
    for chosen, own in layers.items():
        chosen.rows = own
    try:
        yield
    finally:
        for chosen in layers:
            chosen.rows = None


def to_autocast_type(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors converted to autocast's type where it is enabled, as torch's own layers do."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)


def matmul_into(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
    """Write the matrix product a b to `out`, which may be of a wider float type."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(a @ b)


class Linear(PerWorker, nn.Linear):
    """`nn.Linear`, with one gradient per worker where `rows` are set."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base class's name
        """`[m * b, in]` to `[m * b, out]`."""
        if self.rows is None:
            return super().forward(input)
        tensors = to_autocast_type(input, self.weight, self.bias)
        result: torch.Tensor = _Linear.apply(*tensors, self.rows)
        return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: Rows
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rows = rows
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, None, None, None]:
        x, weight = ctx.saved_tensors
        out = ctx.rows["weight"]
        m = len(out)
        for mine, inputs, row in zip(grad.chunk(m), x.chunk(m), out, strict=True):
            matmul_into(mine.T, inputs, row)
        bias = ctx.rows["bias"]
        torch.sum(grad.view(m, -1, grad.shape[1]), 1, dtype=bias.dtype, out=bias)
        return grad @ weight if ctx.needs_input_grad[0] else None, None, None, None


class Conv2d(PerWorker, nn.Conv2d):
    """`nn.Conv2d` with a bias, without groups; one gradient per worker where `rows` are set."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base class's name
        """`[m * b, in, h, w]` to `[m * b, out, h', w']`."""
        if self.rows is None:
            return super().forward(input)
        assert self.bias is not None
        result: torch.Tensor = _Conv2d.apply(
            *to_autocast_type(input, self.weight, self.bias), self.stride, self.padding, self.rows
        )
        return result


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        stride: list[int],
        padding: list[int],
        rows: Rows,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.rows = stride, padding, rows
        return functional.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, None, None, None, None, None]:
        x, weight = ctx.saved_tensors
        weights, biases = ctx.rows["weight"], ctx.rows["bias"]
        m, bias = len(weights), [len(weight)]
        how = (ctx.stride, ctx.padding, [1, 1], False, [0, 0], 1)
        backward = torch.ops.aten.convolution_backward
        down = None
        if ctx.needs_input_grad[0]:
            down = backward(grad, x, weight, bias, *how, [True, False, False])[0]
        parts = zip(grad.chunk(m), x.chunk(m), weights, biases, strict=True)
        for mine, inputs, weight_row, bias_row in parts:
            found = backward(mine, inputs, weight, bias, *how, [False, True, True])
            weight_row.copy_(found[1])
            bias_row.copy_(found[2])
        return down, None, None, None, None, None


class Embedding(PerWorker, nn.Embedding):
    """`nn.Embedding`, with one gradient per worker where `rows` are set."""

    def forward(  # type: ignore[override]
        self,
        input: torch.Tensor,  # noqa: A002 - the base class's name
        workers: torch.Tensor,
    ) -> torch.Tensor:
        """Tokens `[p]` and their workers `[p]` (both int64) to embeddings `[p, e]`."""
        if self.rows is None:
            return super().forward(input)
        result: torch.Tensor = _Embedding.apply(
            input, workers, *to_autocast_type(self.weight), self.rows["weight"]
        )
        return result


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        tokens: torch.Tensor,
        workers: torch.Tensor,
        weight: torch.Tensor,
        rows: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(tokens, workers)
        ctx.rows = rows
        return functional.embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[None, None, None, None]:
        tokens, workers = ctx.saved_tensors
        m, words, _ = ctx.rows.shape
        table = torch.ops.aten.embedding_dense_backward(
            grad.contiguous(),
            workers * words + tokens,
            num_weights=m * words,
            padding_idx=-1,
            scale_grad_by_freq=False,
        )
        ctx.rows.copy_(table.view(ctx.rows.shape))
        return None, None, None, None
