"""Draws by counter: what an element draws depends only on its message's key and its own index.

A message takes one 64-bit key from its generator, so that a generator advances by the same step
however much is drawn. Philox4x32-10 (Salmon et al., SC'11, doi:10.1145/2063384.2063405) turns
that key and a counter (number of the block, stream, 0, 0) into four words of 32 bits. The
definition is in integers: every device, batch, order of elements and number of threads gives the
same draws, and the kernels give them too (`wiregrad.kernels.stochastic`).

The draw of element j has 31 bits: the upper 16 are the j mod 8-th half (a word's lower half comes
first) of block ⌊j/8⌋ of one stream, the lower 15 are the upper bits of the same half of the next
stream. Mostly the upper bits decide, so that a kernel need not compute the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wiregrad.kernels import stochastic as kernel
from wiregrad.kernels import supports

Generators = Sequence[torch.Generator] | None
"""One generator for each row, or None for a compressor that does not draw."""
BITS = 31
WIDE_BITS = 62
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 0xFFFFFFFF
_BLOCKS = 1 << 15
"""Blocks computed at a time: bounds the temporaries and keeps them in the caches."""


def of_rows(generators: Generators) -> Sequence[torch.Generator]:
    """The generators of a family that draws: `Blocked` has made sure that they are given."""
    if generators is None:
        raise ValueError("a generator is required")
    return generators


def keys_of(generators: Generators, device: torch.device | str = "cpu") -> torch.Tensor:
    """A key for each row `[n]`, int64 (all 64 bits): one draw of each generator."""
    drawn = [
        torch.empty((), dtype=torch.int64, device=g.device).random_(-(1 << 63), None, generator=g)
        for g in of_rows(generators)
    ]
    return torch.stack(drawn).to(device) if drawn else torch.empty(0, dtype=torch.int64)


def philox(keys: torch.Tensor, blocks: torch.Tensor, stream: int = 0) -> torch.Tensor:
    """The words `[n, m, 4]` (int64, below 2³²) of the blocks `[m]` under each of the keys `[n]`."""
    rest = blocks.new_zeros(len(blocks))
    return philox_4x32((blocks, rest + stream, rest, rest), keys)


def philox_4x32(counter: Sequence[torch.Tensor], keys: torch.Tensor) -> torch.Tensor:
    """Philox4x32-10 of a counter of four words, `[m]` each, under each of the keys `[n]`."""
    low, high = (keys & _WORD)[:, None], (keys >> 32 & _WORD)[:, None]
    c0, c1, c2, c3 = (c.expand(len(keys), -1) for c in counter)
    for i in range(_ROUNDS):
        # The products wrap around 2⁶⁴; their halves are those of the unsigned ones.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (p1 >> 32).bitwise_and_(_WORD).bitwise_xor_(c1)
        c0 ^= low + i * _KEY_STEPS[0] & _WORD
        c2 = (p0 >> 32).bitwise_and_(_WORD).bitwise_xor_(c3)
        c2 ^= high + i * _KEY_STEPS[1] & _WORD
        c1, c3 = p1.bitwise_and_(_WORD), p0.bitwise_and_(_WORD)
    return torch.stack((c0, c1, c2, c3), dim=-1)


def _halves(keys: torch.Tensor, start: int, count: int, stream: int) -> torch.Tensor:
    """Halves of words, `[n, 8 * count]`, of `count` blocks from `start` on."""
    words = philox(keys, torch.arange(start, start + count, device=keys.device), stream)
    return torch.stack((words & 0xFFFF, words >> 16), dim=-1).flatten(1)


def draws(keys: torch.Tensor, d: int, stream: int = 0) -> torch.Tensor:
    """The draws `[n, d]` of 31 bits, int32, from `stream` and the one after it."""
    out = torch.empty(len(keys), d, dtype=torch.int32, device=keys.device)
    for start in range(0, -(-d // 8), _BLOCKS):
        into = out[:, 8 * start : 8 * (start + _BLOCKS)]
        count = -(-into.shape[1] // 8)
        upper = _halves(keys, start, count, stream)
        lower = _halves(keys, start, count, stream + 1)
        into.copy_((upper << 15 | lower >> 1)[:, : into.shape[1]])
    return out


def happens(chance: torch.Tensor, keys: torch.Tensor, bits: int = BITS) -> torch.Tensor:
    """Bool `[n, d]`: true with probability chance·2^-bits exactly, for `bits` of BITS or WIDE_BITS.

    It is so where adding the draw to the chance, an integer of at most 2^bits, carries over.
    """
    drawn = draws(keys, chance.shape[-1])
    if bits == WIDE_BITS:
        drawn = drawn.long() << BITS | draws(keys, chance.shape[-1], stream=2)
    return drawn > (1 << bits) - 1 - chance


def subsets(keys: torch.Tensor, k: int, d: int) -> torch.Tensor:
    """`subset` of each of the keys `[n]` (on the CPU): `[n, k]`."""
    if supports():
        return kernel.subsets(keys, k, d)
    return torch.stack([subset(key, k, d) for key in keys.tolist()])


def subset(key: int, k: int, d: int) -> torch.Tensor:
    """K of d indices without replacement, int64, increasing: each subset alike (d ≤ 2³¹).

    Floyd's algorithm (Bentley and Floyd, CACM 30(9), 1987) with draws of 64 bits, the i-th being
    half i mod 2 of block ⌊i/2⌋ (its first word is the lower one). A draw times the number of
    choices, shifted right by 64, is the choice: a bias of at most 2⁻³³. Where k > d/2, the others
    are drawn.
    """
    if supports():
        return kernel.subsets(torch.tensor([key]), k, d)[0]
    count = min(k, d - k)
    words = philox(torch.tensor([key]), torch.arange(-(-count // 2))).flatten()[: 2 * count]
    sizes = torch.arange(d - count + 1, d + 1)
    low, high = words[0::2], words[1::2]
    choices = (high * sizes + (low * sizes >> 32) >> 32).tolist()
    drawn: set[int] = set()
    for last, choice in enumerate(choices, start=d - count):
        drawn.add(last if choice in drawn else choice)
    indices = torch.tensor(sorted(drawn), dtype=torch.int64)
    if count == k:
        return indices
    kept = torch.ones(d, dtype=torch.bool)
    kept[indices] = False
    return kept.nonzero()[:, 0]
