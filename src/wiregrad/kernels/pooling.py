"""2×2 max-pooling followed by ReLU, channels innermost: forwards and backwards in one pass each."""

from __future__ import annotations

import torch

from wiregrad.kernels import native, path


def supports(x: torch.Tensor) -> bool:
    """Whether kernels are in use and support these images `[b, c, h, w]`.

    They support float32 on the CPU with h and w even and the channels innermost in memory, at least
    8 channels: with fewer, torch is faster.
    """
    return (
        path() != "off"
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.shape[1] >= 8
        and x.shape[2] % 2 == x.shape[3] % 2 == 0
    )


def forward(x: torch.Tensor) -> torch.Tensor:
    """`[b, c, h, w]` to `[b, c, h / 2, w / 2]`, as `max_pool2d(x, 2).relu()`."""
    _check(x)
    b, c, h, w = x.shape
    y = torch.empty((b, c, h // 2, w // 2), memory_format=torch.channels_last)
    native().pool_forward(x.data_ptr(), y.data_ptr(), b * h // 2, w // 2, c)
    return y


def backward(x: torch.Tensor, y: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """The gradient at x from that at y = forward(x); of equal values the first has it.

    As torch's to the bit where there is no NaN.
    """
    _check(x)
    b, c, h, w = x.shape
    if grad.shape != y.shape:
        raise ValueError(f"gradient {list(grad.shape)} for {list(y.shape)}")
    grad = grad.to(torch.float32).contiguous(memory_format=torch.channels_last)
    down = torch.empty_like(x)
    native().pool_backward(
        x.data_ptr(), y.data_ptr(), grad.data_ptr(), down.data_ptr(), b * h // 2, w // 2, c
    )
    return down


def _check(x: torch.Tensor) -> None:
    if not supports(x):
        raise ValueError(f"float32 images, channels innermost, expected: {x.dtype} {list(x.shape)}")
