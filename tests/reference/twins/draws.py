"""The draws of a run with root seed 0, by the scheme that the documentation of seeds states.

A seed is a BLAKE2b hash, keyed by the root, of the consumer's name; torch's generators draw.
"""

import hashlib
from collections.abc import Callable
from typing import ClassVar

import torch


def seed(*name: str | int) -> int:
    digest = hashlib.blake2b(
        "/".join(map(str, name)).encode(), digest_size=8, key=b"0", person=b"wiregrad/seeds/1"
    )
    return int.from_bytes(digest.digest(), "little") >> 1


def coin(t: int, p: float) -> bool:
    """Heads, with probability p: the coin that all see in round t."""
    return seed("method", "coin", t) / 2**63 < p


def shared_permutation(t: int, size: int) -> list[int]:
    """The permutation that all see in round t."""
    generator = torch.Generator().manual_seed(seed("method", "permutation", t))
    return torch.randperm(size, generator=generator).tolist()


class Stream:
    """The draws of one sender's compressor, which the tests feed to the twins.

    `subset` (generator, k, d) gives the k of d elements that the package's Rand-K would choose with
    this generator: the twins check what a method does with draws, not how they come about.
    """

    subset: ClassVar[Callable[[torch.Generator, int, int], list[int]]]

    def __init__(self, direction: str, sender: int) -> None:
        self.generator = torch.Generator().manual_seed(seed("compressor", direction, sender))

    def chosen(self, k: int, d: int) -> list[int]:
        return type(self).subset(self.generator, k, d)
