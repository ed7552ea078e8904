"""The channel of one sender whose message crosses to another process."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wiregrad.comm.link import Link
from wiregrad.comm.message_channel import MessageChannel
from wiregrad.compressors.encoded import Encoded
from wiregrad.wire import Payload


class WireChannel(MessageChannel):
    """A channel of one sender: its message as bytes, which a runtime sends."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._data: bytes | None = None

    def open(self, measure: bool) -> None:
        """Begin a round."""
        super().open(measure)
        self._data = None

    @property
    def data(self) -> bytes:
        """The bytes of this round's message: the payloads of its parts, one after the other."""
        if self._data is None:
            raise RuntimeError("the method sent nothing: every sender speaks once a round")
        return self._data

    @property
    def paper_bits(self) -> int:
        """What the paper's convention charges for this round's message."""
        return self.meter.paper - self._meter_before.paper

    def deliver(
        self,
        encoded: Encoded,
        rows: Sequence[int],
        senders: Sequence[int],
        tags: torch.Tensor | None,
    ) -> None:
        """See MessageChannel."""
        del senders
        (row,) = rows
        tag = 0 if tags is None else int(tags)
        self._data = (self._data or b"") + encoded.payload(row, tag).to_bytes()

    def deliver_empty(self, sender: int, payload: Payload) -> None:
        """See MessageChannel."""
        del sender
        self._data = payload.to_bytes()
