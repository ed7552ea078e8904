"""One sender's message of a round, whatever the runtime."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from wiregrad.compressors.base import decode
from wiregrad.wire import EMPTY, Payload


@dataclass(frozen=True)
class Message:
    """What one sender has sent in a round, as its receiver decodes it, and what it cost."""

    parts: tuple[torch.Tensor, ...]
    """What each part decodes to, `[d]`; none where the sender skipped (an empty payload)."""
    tag: int = 0
    """0 to 15: the mark that the method put on it."""
    wire_bits: int = 0
    paper_bits: int = 0
    """What the paper's convention charges."""
    error: float = math.nan
    """Relative compression error, ‖C(x) − x‖² / ‖x‖²; NaN where it was not measured."""

    @staticmethod
    def from_bytes(
        data: bytes, numel: int, *, paper_bits: int = 0, error: float = math.nan
    ) -> Message:
        """Decode the payloads in `data`, one after the other, each of `numel` elements.

        The price and the error are what the sender says. Raises PayloadError.
        """
        payloads = [part for part in Payload.sequence(data, numel=numel) if part.codec != EMPTY]
        return Message(
            tuple(decode(payload) for payload in payloads),
            max((payload.tag for payload in payloads), default=0),
            8 * len(data),
            paper_bits,
            error,
        )

    def vector(self, like: torch.Tensor) -> torch.Tensor:
        """The sum of the parts `[d]`, zeros without any, of the type and device of `like` `[d]`."""
        total = torch.zeros_like(like)
        for part in self.parts:
            total += part.to(total.device)
        return total
