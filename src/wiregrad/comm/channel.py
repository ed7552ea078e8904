"""The channel that a method speaks into: one direction of one round.

A method never sees bytes: `Channel` has the verbs that it speaks with. `MessageChannel` turns them
into messages, which a runtime delivers, encoded as they are in a simulation or as real bytes
between processes. The channel of a batch of runs takes the rows of all runs together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from wiregrad.comm.link import Link
from wiregrad.compressors.base import Blocked, Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.core.layout import BlockKind

_DENSE = Identity()
NO_MESSAGE = -1
"""In `Channel.choices`: an empty payload."""

Accept = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(decoded `[k, d]`, their rows int64 `[k]`) to bool `[k]`: which of them are good enough."""


class Channel(ABC):
    """One direction of one round. Uplink rows are workers; the downlink has a single row."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.generators = link.generators
        self.choices = torch.full((len(link.generators),), NO_MESSAGE, dtype=torch.int8)
        """Which compressor each sender used this round, by its place among those offered to it."""
        self._blocked: dict[tuple[Compressor, bool], Blocked] = {}
        self._next_sender = 0

    def open(self, measure: bool) -> None:
        """Begin a round; with `measure`, a channel that can keeps the compression errors."""
        del measure
        self.choices.fill_(NO_MESSAGE)
        self._next_sender = 0

    # -- what a method says -----------------------------------------------------------------

    @abstractmethod
    def __call__(
        self,
        compressor: Compressor,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        tag: torch.Tensor | None = None,
        priced_as: Compressor | None = None,
        relative_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Send C(row) for each row of `x` `[..., d]`.

        Args:
            compressor: C.
            x: The vectors to send, a row for each sender.
            where: bool, a flag for each row: the other senders send an empty payload, which
                decodes to zeros. None: all send.
            tag: int64, a mark from 0 to 15 for each message; receivers see it.
            priced_as: The compressor whose message the convention of the paper charges in place
                of this one. Bits on the wire stay those of C.
            relative_to: The vectors `[..., d]` whose norms the measured errors are relative to, in
                place of `x`: what is tracked, where `x` is only its change.

        Returns:
            What receivers decode, of the shape of `x`; not to be written to.

        Raises:
            NonFiniteError: A row holds NaN or Inf.
        """

    @abstractmethod
    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> None:
        """Send c = C(x + residual); then residual ← x + residual − c, in place.

        `x` and `residual` are `[..., d]`, a row for each sender.
        """

    def dense(
        self,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        priced_as: Compressor | None = None,
    ) -> torch.Tensor:
        """Send the rows uncompressed; arguments and result as for a call."""
        return self(_DENSE, x, where, priced_as=priced_as)

    @abstractmethod
    def append_part(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """Send C(row) as a further part of the last message of each of these senders.

        The rows of `x` `[..., d]` belong to the senders that spoke last. Receivers decode the sum
        of a message's parts; returned is what this part decodes to. The measured error stays that
        of the first part.
        """

    @abstractmethod
    def cascade(
        self,
        compressors: Sequence[Compressor],
        x: torch.Tensor,
        accept: Accept,
        where: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Send, for each row of `x` `[..., d]`, the first C(row) that `accept` takes, or the last.

        Returns what is decoded; `choices` says which compressor it was. `where`: as for a call.
        """

    def decoded(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """What a receiver would decode of each row of `x` `[..., d]`, if it were sent.

        Nothing is sent or counted; only for compressors that do not draw.
        """
        return self.blocked(compressor).roundtrip(x).decoded

    # -- inside -----------------------------------------------------------------------------

    def blocked(self, compressor: Compressor) -> Blocked:
        """`compressor` on the blocks of this channel; a dense message is a single block."""
        whole = compressor is _DENSE
        key = (compressor, whole)
        if key not in self._blocked:
            kind: BlockKind = "whole" if whole else self.link.blocks
            self._blocked[key] = compressor.blocked(self.link.layout, kind)
        return self._blocked[key]
