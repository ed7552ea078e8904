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
    def scope(self, *name: str | int) -> Iterator[None]:
        """Within the block torch's CPU generator draws from the stream `name`.

        For code that cannot be handed a generator (module initialisation, on the CPU); the
        generator is as before when the block ends, and no other device's is touched.
        """
        import torch

        generator = torch.default_generator
        before = generator.get_state()
        generator.manual_seed(self.seed(*name))
        try:
            yield
        finally:
            generator.set_state(before)
