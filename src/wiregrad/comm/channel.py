"""The channel a method speaks into: it compresses, delivers, counts, and tells what arrives.

A method never sees bytes: `Channel` has the verbs that it speaks with. `comm.messages` turns
them into packets of messages, which each runtime delivers, as they are in the simulation, as real
bytes between processes; a batch of runs (`wiregrad.runtimes.batched_channel`) takes them together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from wiregrad.comm.accounting import Convention, Message
from wiregrad.compressors.base import Blocked, Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.core.layout import BlockKind, Layout
from wiregrad.core.rng import Seeds

_DENSE = Identity()
NO_MESSAGE = -1
"""In `Channel.choices`: an empty payload."""

Accept = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(decoded `[k, d]`, their rows int64 `[k]`) to bool `[k]`: which of them will do."""


@dataclass(frozen=True)
class Link:
    """One direction as a runtime sets it up: blocks, books, and a generator for each sender."""

    layout: Layout
    blocks: BlockKind
    price: Callable[[Message], int]
    generators: Sequence[torch.Generator]

    @staticmethod
    def of(
        name: str,
        senders: Sequence[int],
        *,
        layout: Layout,
        blocks: BlockKind,
        convention: Convention,
        seeds: Seeds,
        device: torch.device,
    ) -> Link:
        """The direction `name` ("uplink" or "downlink") of these senders, with their streams."""
        price = convention.uplink if name == "uplink" else convention.downlink
        generators = [seeds.generator("compressor", name, i, device=device) for i in senders]
        return Link(layout, blocks, price, generators)


class Channel(ABC):
    """One direction of one round. Uplink rows are workers; the downlink has a single row."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.generators = link.generators
        self.choices = torch.full((len(link.generators),), NO_MESSAGE, dtype=torch.int8)
        """Which compressor each sender used this round, of those offered to it."""
        self._blocked: dict[tuple[Compressor, bool], Blocked] = {}
        self._at = 0

    def open(self, measure: bool) -> None:
        """Begin a round; with `measure`, compression errors are kept where a channel can."""
        del measure
        self.choices.fill_(NO_MESSAGE)
        self._at = 0

    # -- what a method says -----------------------------------------------------------------

    @abstractmethod
    def __call__(
        self,
        compressor: Compressor,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        tag: torch.Tensor | None = None,
        billed_as: Compressor | None = None,
        relative_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Send C(row) for each row of `x` `[..., d]`; returns what is decoded, not to be changed.

        `where` (bool, of the shape of the rows): the others send an empty payload, and decode to
        zeros. `tag` (int64, likewise, 0 to 15): a mark on each message.
        `billed_as`: the compressor that the paper's books charge this message to.
        `relative_to`: rows whose norms the measured errors are relative to, if not `x`: what is
        tracked, where `x` is only its change.
        """

    @abstractmethod
    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> None:
        """Send c = C(x + residual) and set residual ← x + residual − c, in place."""

    def dense(
        self,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        billed_as: Compressor | None = None,
    ) -> torch.Tensor:
        """Send the rows uncompressed."""
        return self(_DENSE, x, where, billed_as=billed_as)

    @abstractmethod
    def more(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """Send C(row) as a further part of the message of those who spoke last.

        Receivers decode the sum of a message's parts; returned is what this part decodes to. The
        measured error is that of the first part.
        """

    @abstractmethod
    def cascade(
        self,
        compressors: Sequence[Compressor],
        x: torch.Tensor,
        accept: Accept,
        where: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Send, for each row, the first C(row) that `accept` takes, or else the last one.

        Returns what is decoded; `choices` tells which it was. `where` as for a plain message.
        """

    def decoded(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """What a receiver would decode of each row of `x` `[..., d]`, if it were sent.

        Nothing is sent or counted; for compressors without draws.
        """
        return self.blocked(compressor).roundtrip(x).decoded

    # -- inside -----------------------------------------------------------------------------

    def blocked(self, compressor: Compressor) -> Blocked:
        """`compressor` on this channel's blocks; dense messages are one block."""
        whole = compressor is _DENSE
        key = (compressor, whole)
        if key not in self._blocked:
            kind: BlockKind = "whole" if whole else self.link.blocks
            self._blocked[key] = compressor.blocked(self.link.layout, kind)
        return self._blocked[key]
