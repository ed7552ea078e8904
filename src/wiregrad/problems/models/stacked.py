"""Layers that give a gradient per worker in one pass over all workers' samples.

All workers take gradients at the same x, so that one forward and one backward pass over their
joined batches serve all of them; only the weights' own gradients have to be kept apart. A weight
with a leading worker dimension m (an expanded view of the one x) asks for that: inputs have
``m * b`` rows, worker by worker, and the weight's gradient is `[m, ...]`. With an ordinary weight
the layers are those of torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

Grad = torch.Tensor | None
"""What a backward pass returns for one argument of the forward pass."""
Context = Any  # torch's FunctionCtx has no types for what is kept in it


class Linear(nn.Linear):
    """`nn.Linear`, also for stacked weights `[m, out, in]` and `[m, out]`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base class's name
        """`[m * b, in]` to `[m * b, out]`."""
        if self.weight.dim() == 2:
            return super().forward(input)
        result: torch.Tensor = _Linear.apply(input, self.weight, self.bias)
        return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight[0], bias[0])

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, Grad, Grad]:
        x, weight = ctx.saved_tensors
        m = len(weight)
        mine = grad.view(m, -1, grad.shape[1])
        down = grad @ weight[0] if ctx.needs_input_grad[0] else None
        return down, torch.bmm(mine.mT, x.view(m, -1, x.shape[1])), mine.sum(1)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with a bias and no groups, also for stacked weights `[m, out, in, k, k]`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base class's name
        """`[m * b, in, h, w]` to `[m * b, out, h', w']`."""
        if self.weight.dim() == 4:
            return super().forward(input)
        result: torch.Tensor = _Conv2d.apply(
            input, self.weight, self.bias, self.stride, self.padding
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
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight[0], bias[0], stride, padding)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, Grad, Grad, None, None]:
        x, weight = ctx.saved_tensors
        m, bias = len(weight), [weight.shape[1]]
        how = (ctx.stride, ctx.padding, [1, 1], False, [0, 0], 1)
        backward = torch.ops.aten.convolution_backward
        down = None
        if ctx.needs_input_grad[0]:
            down = backward(grad, x, weight[0], bias, *how, [True, False, False])[0]
        each = [
            backward(g, a, weight[0], bias, *how, [False, True, True])[1:]
            for g, a in zip(grad.chunk(m), x.chunk(m), strict=True)
        ]
        return (
            down,
            torch.stack([w for w, _ in each]),
            torch.stack([b for _, b in each]),
            None,
            None,
        )


class Embedding(nn.Embedding):
    """`nn.Embedding`, also for a stacked weight `[m, words, e]` and the workers of the tokens."""

    def forward(  # type: ignore[override]
        self,
        input: torch.Tensor,  # noqa: A002 - the base class's name
        workers: torch.Tensor,
    ) -> torch.Tensor:
        """Tokens `[p]` of workers `[p]` (int64 both) to `[p, e]`."""
        if self.weight.dim() == 2:
            return super().forward(input)
        result: torch.Tensor = _Embedding.apply(input, workers, self.weight)
        return result


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, tokens: torch.Tensor, workers: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(tokens, workers)
        ctx.shape = weight.shape
        return functional.embedding(tokens, weight[0])

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[None, None, Grad]:
        tokens, workers = ctx.saved_tensors
        m, words, _ = ctx.shape
        table = torch.ops.aten.embedding_dense_backward(
            grad.contiguous(),
            workers * words + tokens,
            num_weights=m * words,
            padding_idx=-1,
            scale_grad_by_freq=False,
        )
        return None, None, table.view(ctx.shape)
