"""What crosses between the ranks of a distributed run: bytes of messages, and control traffic.

Messages are uint8 tensors of exactly their length. Control traffic is int64 tensors on the CPU: a
`Header` ahead of each uplink message, and the orders of rank 0. A rank that is lost ends in a
`PeerLost`, which names it where only two ranks were exchanging.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import torch
from torch import distributed as dist

from wiregrad.core.errors import RuntimeFailure

WORD = 8
"""Bytes of one number of control traffic."""
NOT_FINITE = -1
"""Length of a message that its sender could not form: the run diverged."""

_PROBE = timedelta(seconds=5)


class PeerLost(RuntimeFailure):
    """A rank ended, or fell silent, in the middle of a run."""


@dataclass(frozen=True)
class Header:
    """What a worker says ahead of its message: three words of control traffic."""

    length: int
    """Bytes of the message that follows, or NOT_FINITE."""
    paper_bits: int = 0
    """What the paper's convention charges for it."""
    error: float = math.nan
    """Its relative compression error, NaN where it was not measured."""

    WORDS: ClassVar[int] = 3

    @property
    def follows(self) -> bool:
        """Whether a message follows."""
        return self.length != NOT_FINITE

    def words(self) -> torch.Tensor:
        """The header as int64 `[3]`; the error as the bits of its float64."""
        error = torch.tensor([self.error], dtype=torch.float64).view(torch.int64)
        return torch.cat([torch.tensor([self.length, self.paper_bits]), error])

    @staticmethod
    def read(words: torch.Tensor) -> Header:
        """The header of int64 `[3]`."""
        length, paper_bits = words[:2].tolist()
        return Header(length, paper_bits, float(words[2:].view(torch.float64)))


@dataclass(frozen=True)
class UplinkFrame:
    """What one worker sends in a round: a header, and the bytes of its message."""

    header: Header
    data: bytes = b""


class Exchange:
    """This rank's end of the default process group of `torch.distributed`.

    The bytes of messages travel from `device`, by the group's backend for that device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.control_bytes = 0
        """Control traffic that this rank sent or received, one copy of a broadcast."""
        self.place = "before round 1"
        """Where the run is, for error messages."""

    # -- messages ---------------------------------------------------------------------------

    def to_server(self, frame: UplinkFrame) -> list[UplinkFrame]:
        """Send this rank's frame to rank 0; returns the frames of all ranks there, else none."""
        if self.rank == 0:
            return [frame, *self._receive()]
        self.control_bytes += WORD * Header.WORDS
        with self._naming_lost(0):
            tensors = [frame.header.words()]
            if frame.header.follows:
                tensors.append(self._tensor(frame.data))
            for work in [dist.isend(tensor, 0) for tensor in tensors]:
                _wait(work)
        return []

    def from_server(self, data: bytes | None) -> bytes | None:
        """The bytes of rank 0's message, on every rank; None: the run diverged there."""
        length = self.order(NOT_FINITE if data is None else len(data))
        return None if length == NOT_FINITE else self._broadcast(0, length, data)

    def to_all(self, frame: UplinkFrame) -> list[UplinkFrame]:
        """The frames of all ranks, on every rank."""
        headers = [Header.read(words) for words in self.gather(frame.header.words())]
        return [
            UplinkFrame(header, self._broadcast(sender, header.length, frame.data))
            if header.follows
            else UplinkFrame(header)
            for sender, header in enumerate(headers)
        ]

    # -- control traffic --------------------------------------------------------------------

    def order(self, value: int) -> int:
        """Rank 0's `value`, on every rank."""
        word = torch.tensor([value])
        self.control_bytes += WORD
        with self._naming_lost():
            dist.broadcast(word, 0)
        return int(word)

    def gather(self, words: torch.Tensor) -> list[torch.Tensor]:
        """The `words` (int64, as many on each) of all ranks, on every rank; also a barrier."""
        found = [torch.empty_like(words) for _ in range(self.size)]
        self.control_bytes += WORD * words.numel() * self.size
        with self._naming_lost():
            dist.all_gather(found, words)
        return found

    # -- inside -----------------------------------------------------------------------------

    def _receive(self) -> list[UplinkFrame]:
        """At rank 0: the frames of the others, in the order of their ranks."""
        others = range(1, self.size)
        words = {rank: torch.empty(Header.WORDS, dtype=torch.int64) for rank in others}
        self.control_bytes += WORD * Header.WORDS * len(others)
        coming: dict[int, dist.Work | None] = {}
        headers: dict[int, Header] = {}
        bodies: dict[int, torch.Tensor] = {}
        for rank in others:
            with self._naming_lost(rank):
                coming[rank] = dist.irecv(words[rank], rank)
        for rank in others:
            with self._naming_lost(rank):
                _wait(coming.pop(rank))
                headers[rank] = Header.read(words[rank])
                if headers[rank].follows:
                    bodies[rank] = self._empty(headers[rank].length)
                    coming[rank] = dist.irecv(bodies[rank], rank)
        for rank, work in coming.items():
            with self._naming_lost(rank):
                _wait(work)
        return [
            UplinkFrame(headers[rank], _bytes(bodies[rank]) if rank in bodies else b"")
            for rank in others
        ]

    def _broadcast(self, sender: int, length: int, data: bytes | None) -> bytes:
        """The `length` bytes of `data` at `sender`, on every rank; `data` of others is ignored."""
        mine = sender == self.rank and data is not None
        tensor = self._tensor(data or b"") if mine else self._empty(length)
        with self._naming_lost():
            dist.broadcast(tensor, sender)
        return data if mine and data is not None else _bytes(tensor)

    def _tensor(self, data: bytes) -> torch.Tensor:
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)

    def _empty(self, length: int) -> torch.Tensor:
        return torch.empty(length, dtype=torch.uint8, device=self.device)

    @contextmanager
    def _naming_lost(self, peer: int | None = None) -> Iterator[None]:
        """Within the block this rank exchanges with `peer`, or with all ranks (None).

        A failure of the exchange becomes a PeerLost that names the ranks that are gone.
        """
        try:
            yield
        except RuntimeError as error:  # what every backend raises for a peer that is gone
            lost = self._unreachable() if peer is None else [peer]
            names = ", ".join(f"rank {rank}" for rank in lost) or "a rank"
            reason = " ".join(str(error).split())[:200]
            raise PeerLost(f"rank {self.rank} lost {names} {self.place} ({reason})") from error

    def _unreachable(self) -> list[int]:
        """At rank 0, after a collective has failed: the ranks to which nothing can be sent.

        The others wait for collectives only, so that none of them takes the probe for a message.
        """
        return (
            [rank for rank in range(1, self.size) if not _reachable(rank)] if not self.rank else []
        )


def _reachable(rank: int) -> bool:
    try:
        work = dist.isend(torch.zeros(1, dtype=torch.int64), rank)
        return work is None or bool(work.wait(_PROBE))
    except RuntimeError:
        return False


def _wait(work: dist.Work | None) -> None:
    if work is not None:
        work.wait()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.cpu().numpy().tobytes()
