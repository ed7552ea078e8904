"""Wide residual networks for 32×32 images."""

from __future__ import annotations

import torch
from torch import nn


class _Block(nn.Module):
    """The basic pre-activation block: twice batch-norm, ReLU and conv 3×3, added to the input.

    Where the number of channels changes, a 1×1 convolution of the rectified input replaces the
    input in the sum.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if width_in != width:
            self.shortcut = nn.Conv2d(width_in, width, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[b, width_in, h, w]` to `[b, width, h / stride, w / stride]`."""
        rectified = self.relu(self.bn1(x))
        residual: torch.Tensor = self.conv2(self.relu(self.bn2(self.conv1(rectified))))
        return residual + (x if self.shortcut is None else self.shortcut(rectified))


class WideResNet(nn.Sequential):
    """A wide residual network without dropout, for `[b, 3, 32, 32]`.

    Zagoruyko and Komodakis 2016, table 1: conv 3→16; three groups of k blocks with 16, 32 and 64
    times `factor` channels, the latter two with stride 2; batch-norm, ReLU, mean; fc. Convolutions
    are initialised by He's normal distribution (fan out), the biases of fc by zero.

    Args:
        depth: 6 k + 4 for k of at least 1.
        factor: The widening factor, at least 1.
        classes: Number of classes.

    Raises:
        ValueError: The depth is not of this form.
    """

    def __init__(self, depth: int, factor: int, classes: int) -> None:
        blocks, left = divmod(depth - 4, 6)
        if left or blocks < 1:
            raise ValueError(f"depth {depth}: allowed are 10, 16, 22, ...")
        widths = [16 * factor, 32 * factor, 64 * factor]
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
        before = 16
        for group, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if group and not block else 1
                layers.append(_Block(before, width, stride))
                before = width
        head = [nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
        super().__init__(*layers, *head, nn.Flatten(), nn.Linear(before, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def wrn16_4(classes: int = 10) -> nn.Module:
    """WRN-16-4 for `[b, 3, 32, 32]`: d = 2,748,890 with 10 classes."""
    return WideResNet(16, 4, classes)
