"""Devices by the names that the command line takes."""

from __future__ import annotations

import torch

from wiregrad.core.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA where there is a GPU, else the CPU.

    Raises ConfigError for a device that torch does not know or this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device: {name!r}, allowed: auto, cpu, cuda, cuda:1, …") from None
    if device.type == "cpu":
        return device
    here = torch.accelerator.current_accelerator()
    count = torch.accelerator.device_count()
    if here is None or device.type != here.type or (device.index or 0) >= count:
        raise ConfigError(f"--device: {name}, but this machine has none")
    return device
