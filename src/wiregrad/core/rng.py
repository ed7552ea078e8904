"""Randomness by name: a run has one root seed, and every consumer a child seed.

A child depends only on the root and on its own name, so that a new consumer never changes the
stream of another one.
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
    """The seed of the run, any integer."""

    def seed(self, *name: str | int) -> int:
        """The seed of the consumer `name`, 0 to 2^63 - 1: a keyed BLAKE2b hash of root and name."""
        key = f"{self.root}".encode()
        digest = hashlib.blake2b(
            "/".join(map(str, name)).encode(), digest_size=8, key=key, person=_CONTEXT[:16]
        )
        return int.from_bytes(digest.digest(), "little") >> 1

    def generator(self, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        """A new generator on `device` with the seed of the consumer `name`."""
        import torch

        return torch.Generator(device=device).manual_seed(self.seed(*name))

    @contextmanager
    def scope(self, *name: str | int) -> Iterator[None]:
        """Within the block, torch's global CPU generator draws from the stream `name`.

        This is for code that takes no generator, such as the initialisation of modules on the CPU.
        The global generator is restored at the end of the block; those of other devices are not
        touched.
        """
        import torch

        generator = torch.default_generator
        before = generator.get_state()
        generator.manual_seed(self.seed(*name))
        try:
            yield
        finally:
            generator.set_state(before)
