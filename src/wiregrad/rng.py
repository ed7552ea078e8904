"""Randomness by name: one root seed per run, and a child for every consumer.

A child depends on the root and its own name only, so a new consumer never shifts another's stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CONTEXT = b"wiregrad/seeds/1"


@dataclass(frozen=True)
class Seeds:
    """The tree of seeds below `root`, for example ``Seeds(0).seed("compressor", "uplink", 3)``."""

    root: int

    def seed(self, *name: str | int) -> int:
        """A 63-bit seed for the consumer `name`, by a keyed BLAKE2b hash of root and name."""
        key = f"{self.root}".encode()
        digest = hashlib.blake2b(
            "/".join(map(str, name)).encode(), digest_size=8, key=key, person=_CONTEXT[:16]
        )
        return int.from_bytes(digest.digest(), "little") >> 1

    def generator(self, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        """A fresh generator on `device`, seeded for the consumer `name`."""
        import torch

        return torch.Generator(device=device).manual_seed(self.seed(*name))

    @contextmanager
    def scope(self, *name: str | int, device: torch.device | str = "cpu") -> Iterator[None]:
        """Within the block torch's global generators draw from the stream `name`.

        For code that cannot be handed a generator (module initialisation, `nn.Dropout`); the
        global state is as before when the block ends.
        """
        import torch

        device = torch.device(device)
        devices = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(devices=devices, device_type=_fork_type(device)):
            torch.manual_seed(self.seed(*name))
            yield


def _fork_type(device: torch.device) -> str:
    # fork_rng wants the type of an accelerator even where it saves none of its generators.
    return "cuda" if device.type == "cpu" else device.type
