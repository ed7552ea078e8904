"""The connection of the server and one worker process: a group of two, over gloo.

Each worker process has a group of its own with the server, so that one that is lost breaks only its
own. What crosses is a `Frame`: a head of fixed size, and the bytes of a message or of other state.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, ClassVar

import torch
from torch import distributed as dist

from wiregrad.comm.message import Message
from wiregrad.runtimes.distributed.exchange import PeerLost

SERVER, WORKER = 0, 1
HOST = "127.0.0.1"


def rendezvous_store(port: int, seconds: float, *, serves: bool) -> Any:
    """The store where both ends of a connection meet, on the loopback; port 0: a free one.

    `seconds`: how long an end waits for the other. Raises PeerLost.
    """
    try:
        return dist.TCPStore(  # type: ignore[attr-defined]  # documented, but not in __all__
            HOST,
            port,
            is_master=serves,
            wait_for_workers=False,
            timeout=timedelta(seconds=seconds),
        )
    except RuntimeError as error:
        raise PeerLost(f"port {port}: the server is gone ({_one_line(error)})") from error


class FrameKind(IntEnum):
    """What a frame is."""

    WELCOME = 0
    """To a worker that joins: the replica, at which it computes its first gradient."""
    GO = 1
    """To a worker: the broadcasts that it has missed; it computes its next gradient."""
    STOP = 2
    """To a worker: the run is over."""
    MESSAGE = 3
    """From a worker: the bytes of its message."""
    DIVERGED = 4
    """From a worker: its vector was not finite."""
    DONE = 5
    """From a worker: its last frame."""


@dataclass(frozen=True)
class Frame:
    """What crosses a connection: a head of fixed size, and bytes."""

    kind: FrameKind
    number: int = 0
    """To a worker: updates so far; from a worker: how many messages its process has sent."""
    heard: int = 0
    """To a worker that joins: how many messages of this worker have arrived before."""
    paper_bits: int = 0
    """What the paper's convention charges for the message."""
    error: float = math.nan
    """Its relative compression error."""
    start: float = 0.0
    """When the computation began, seconds of the machine's monotonic clock."""
    end: float = 0.0
    """When it ended."""
    body: bytes = b""

    HEAD: ClassVar[struct.Struct] = struct.Struct("<qqqqqddd")

    def message(self, numel: int) -> Message:
        """The message of `numel` elements that the frame carries; raises PayloadError."""
        return Message.from_bytes(self.body, numel, paper_bits=self.paper_bits, error=self.error)

    def head(self) -> bytes:
        """The bytes of the head."""
        numbers = self.kind, self.number, self.heard, self.paper_bits, len(self.body)
        return self.HEAD.pack(*numbers, self.error, self.start, self.end)


def announce(store: Any, name: str) -> None:
    """Called by a worker process that is about to make its end of the connection `name`."""
    store.set(f"{name}/ready", "")


def is_announced(store: Any, name: str) -> bool:
    """Whether the worker process of `name` has called `announce`.

    The server asks before it makes its own end, since no Python thread runs while it is made.
    """
    return bool(store.check([f"{name}/ready"]))


class Connection:
    """One end of a connection; its methods raise PeerLost.

    `name`: of the worker process. `rank`: SERVER or WORKER, of this end. `seconds`: how long it
    waits for the other end.
    """

    def __init__(self, store: Any, name: str, rank: int, seconds: float) -> None:
        self.name, self._peer = name, WORKER if rank == SERVER else SERVER
        self.control_bytes = 0
        """Bytes of heads and of bodies that are no messages, in both directions."""
        try:
            own = dist.PrefixStore(f"{name}/", store)  # type: ignore[attr-defined]  # as above
            self._group: Any = dist.ProcessGroupGloo(own, rank, 2, timedelta(seconds=seconds))
        except RuntimeError as error:
            raise self._lost(error) from error

    def send(self, frame: Frame) -> None:
        """Send a frame; returns once it is sent."""
        parts = [frame.head(), *([frame.body] if frame.body else [])]
        try:
            for part in parts:
                tensor = torch.frombuffer(bytearray(part), dtype=torch.uint8)
                self._group.send([tensor], self._peer, 0).wait()
        except RuntimeError as error:
            raise self._lost(error) from error
        self._count(frame)

    def receive(self) -> Frame:
        """The next frame."""
        try:
            head = self._receive(Frame.HEAD.size)
            kind, number, heard, paper_bits, length, error, start, end = Frame.HEAD.unpack(head)
            body = self._receive(length) if length else b""
        except RuntimeError as error_:
            raise self._lost(error_) from error_
        frame = Frame(FrameKind(kind), number, heard, paper_bits, error, start, end, body)
        self._count(frame)
        return frame

    def _receive(self, length: int) -> bytes:
        tensor = torch.empty(length, dtype=torch.uint8)
        self._group.recv([tensor], self._peer, 0).wait()
        return tensor.numpy().tobytes()

    def _count(self, frame: Frame) -> None:
        is_message = frame.kind in {FrameKind.MESSAGE, FrameKind.GO}
        self.control_bytes += Frame.HEAD.size + (0 if is_message else len(frame.body))

    def _lost(self, error: RuntimeError) -> PeerLost:
        return PeerLost(f"worker {self.name}: the other end is gone ({_one_line(error)})")


def _one_line(error: RuntimeError) -> str:
    return " ".join(str(error).split())[:200]


# -- broadcasts in the body of a frame ------------------------------------------------------------

_BROADCAST = struct.Struct("<qq")


def pack_broadcasts(broadcasts: list[tuple[int, bytes]]) -> bytes:
    """The body that holds these broadcasts: (update, bytes of the message), one after the other."""
    return b"".join(_BROADCAST.pack(t, len(data)) + data for t, data in broadcasts)


def unpack_broadcasts(body: bytes) -> list[tuple[int, bytes]]:
    """The broadcasts in a body of `pack_broadcasts`."""
    found, at = [], 0
    while at < len(body):
        t, length = _BROADCAST.unpack_from(body, at)
        at += _BROADCAST.size
        found.append((t, body[at : at + length]))
        at += length
    return found
