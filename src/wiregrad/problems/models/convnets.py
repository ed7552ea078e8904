"""Small convolutional networks: MNIST CNN, LeNet-5, the LeNet of COMP-AMS's scripts, and TinyNet.

Where a paper applies ReLU or channel dropout before 2×2 max-pooling, the order here is reversed,
which costs a quarter. Both are monotone in each value, so that outputs and gradients are the same.
"""

from __future__ import annotations

import torch
from torch import nn

from wiregrad.problems.models.layers import Dropout, pool_relu
from wiregrad.problems.models.per_worker import Conv2d, Linear


class MnistCNN(nn.Module):
    """The CNN of COMP-AMS on MNIST (its scripts), for `[b, 1, 28, 28]`: d = 21,840.

    conv 1→10 5×5, max-pool 2, ReLU; conv 10→20 5×5, channel dropout 0.5, max-pool 2, ReLU;
    fc 320→50, ReLU, dropout 0.5; fc 50→10.
    """

    dim = 21_840
    per_pass_of_16 = 4

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 10, 5)
        self.conv2 = Conv2d(10, 20, 5)
        self.drop2 = Dropout(0.5, channels=True)
        self.fc1 = Linear(320, 50)
        self.drop3 = Dropout(0.5)
        self.fc2 = Linear(50, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[b, classes]`."""
        x = pool_relu(self.conv1(x))
        x = self.drop2(pool_relu(self.conv2(x)))
        x = self.drop3(self.fc1(x.flatten(1)).relu())
        logits: torch.Tensor = self.fc2(x)
        return logits


class LeNet5(nn.Module):
    """LeNet-5 on CIFAR-10 (COMP-AMS's text), for `[b, 3, 32, 32]`: d = 62,006.

    conv 3→6 5×5, ReLU, max-pool 2; conv 6→16 5×5, ReLU, max-pool 2; fc 400→120→84→10 with ReLU.
    """

    dim = 62_006
    per_pass_of_16 = 4

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 6, 5)
        self.conv2 = Conv2d(6, 16, 5)
        self.fc1 = Linear(400, 120)
        self.fc2 = Linear(120, 84)
        self.fc3 = Linear(84, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[b, classes]`."""
        x = pool_relu(self.conv1(x))
        x = pool_relu(self.conv2(x))
        x = self.fc2(self.fc1(x.flatten(1)).relu()).relu()
        logits: torch.Tensor = self.fc3(x)
        return logits


class LeNet(nn.Module):
    """The `LeNet` of COMP-AMS's scripts on CIFAR-10, for `[b, 3, 32, 32]`: d = 541,094.

    Three times conv 3×3 with padding 1 (3→16→32→64), ReLU, max-pool 2; fc 1024→500, ReLU,
    dropout 0.5; fc 500→10. It is the padding that gives the 1024 = 64·4·4 inputs of fc.
    """

    dim = 541_094
    per_pass_of_16 = 4

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, 3, padding=1)
        self.conv2 = Conv2d(16, 32, 3, padding=1)
        self.conv3 = Conv2d(32, 64, 3, padding=1)
        self.fc1 = Linear(1024, 500)
        self.drop = Dropout(0.5)
        self.fc2 = Linear(500, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[b, classes]`."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = pool_relu(conv(x))
        logits: torch.Tensor = self.fc2(self.drop(self.fc1(x.flatten(1)).relu()))
        return logits


class TinyNet(nn.Module):
    """A small network of our own for images `[b, 3, 64, 64]`: d = 299,602 with 50 classes.

    conv 3→16 5×5 with stride 2, then twice conv 3×3 (16→32→64), each with padding and followed
    by max-pool 2 and ReLU; fc 1024→256, ReLU; fc 256→classes.
    """

    per_pass_of_16 = 4

    def __init__(self, classes: int = 50) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, 5, stride=2, padding=2)
        self.conv2 = Conv2d(16, 32, 3, padding=1)
        self.conv3 = Conv2d(32, 64, 3, padding=1)
        self.fc1 = Linear(1024, 256)
        self.fc2 = Linear(256, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[b, classes]`."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = pool_relu(conv(x))
        logits: torch.Tensor = self.fc2(self.fc1(x.flatten(1)).relu())
        return logits
