"""VGG-16 with batch-norm for 32×32 images."""

from __future__ import annotations

from torch import nn


def vgg16_bn_cifar(classes: int = 10) -> nn.Module:
    """VGG-16-BN for `[b, 3, 32, 32]`: d = 14,728,266 with 10 classes.

    Simonyan and Zisserman 2015, configuration D with batch-norm. Five poolings reduce 32×32 to
    1×1; therefore, as is common on CIFAR, one fully connected layer replaces the three of width
    4096. Initialised like torchvision's VGG.
    """
    from torchvision.models.vgg import cfgs, make_layers  # noqa: PLC0415 - a second of import

    model = nn.Sequential(
        make_layers(cfgs["D"], batch_norm=True), nn.Flatten(), nn.Linear(512, classes)
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)
    return model
