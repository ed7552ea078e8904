"""What has arrived on a channel in one round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from wiregrad import kernels
from wiregrad.compressors.packet import Packet
from wiregrad.kernels.dense import mean_rows


class Received(ABC):
    """The messages of m senders, as their receiver decodes them."""

    sent: torch.Tensor
    """bool `[m]`: false for an empty payload, which decodes to zeros."""
    tags: torch.Tensor
    """int64 `[m]`: the marks that the senders put on their messages, 0 by default."""

    @abstractmethod
    def rows(self) -> torch.Tensor:
        """The decoded vectors `[m, d]`; not to be written to."""

    def mean(self, dim: Literal[0] = 0) -> torch.Tensor:
        """Their mean `[d]` over the senders, as a new tensor: rows are added in their order.

        The order makes it the same to the bit on every runtime and in every form of the messages.
        """
        del dim  # spelt out as for a tensor
        return self._added(len(self.sent))

    def sum(self) -> torch.Tensor:
        """Their sum `[d]` over the senders, as a new tensor: rows are added in their order."""
        return self._added(1)

    def _added(self, divisor: int) -> torch.Tensor:
        rows = self.rows()
        total = torch.zeros_like(rows[0])
        if kernels.fits(rows):
            mean_rows(rows, total, divisor)
            return total
        for row in rows:
            total += row
        return total.div_(divisor)


class Decoded(Received):
    """Messages that were decoded from their bytes, one after the other."""

    def __init__(self, senders: int, like: torch.Tensor) -> None:
        self._rows = like.new_zeros(senders, like.shape[-1])
        self.sent = torch.zeros(senders, dtype=torch.bool)
        self.tags = torch.zeros(senders, dtype=torch.int64)

    def put(self, sender: int, parts: Sequence[torch.Tensor], tag: int) -> None:
        """The parts of what `sender` said; none of an empty payload."""
        self.sent[sender], self.tags[sender] = len(parts) > 0, tag
        self._rows[sender].zero_()
        for part in parts:
            self._rows[sender] += part.to(self._rows.device)

    def rows(self) -> torch.Tensor:
        """See Received."""
        return self._rows


@dataclass(frozen=True)
class Delivery:
    """Rows `picked` of a packet, which came from `senders`."""

    packet: Packet
    picked: Sequence[int]
    senders: Sequence[int]


class Packets(Received):
    """Messages that stay packed until somebody asks for rows."""

    def __init__(self, senders: int, like: torch.Tensor) -> None:
        self._like = like
        self._deliveries: list[Delivery] = []
        self.sent = torch.zeros(senders, dtype=torch.bool)
        self.tags = torch.zeros(senders, dtype=torch.int64)

    def clear(self) -> None:
        """Begin a round."""
        self._deliveries.clear()
        self.sent.zero_()
        self.tags.zero_()

    def put(self, delivery: Delivery, tags: torch.Tensor | None) -> None:
        """Some senders' messages."""
        self._deliveries.append(delivery)
        senders = list(delivery.senders)
        self.sent[senders] = True
        if tags is not None:
            self.tags[senders] = tags.cpu()

    def refer_to(self, x: torch.Tensor) -> bool:
        """Whether a message is the memory of `x` itself."""
        place = x.untyped_storage().data_ptr()
        return any(
            code.whole.untyped_storage().data_ptr() == place
            for part in self._deliveries
            for code in part.packet.codes
            if code is not None and code.whole is not None
        )

    def rows(self) -> torch.Tensor:
        """See Received."""
        everyone = list(range(len(self.sent)))
        if len(self._deliveries) == 1 and self._whole(everyone):
            return self._deliveries[0].packet.decode()
        rows = self._like.new_zeros(len(self.sent), self._like.shape[-1])
        for part in self._deliveries:
            rows[list(part.senders)] += part.packet.decode()[list(part.picked)]
        return rows

    def _added(self, divisor: int) -> torch.Tensor:
        at_hand = len(self._deliveries) == 1 and self._deliveries[0].packet.decoded is not None
        if at_hand or not self._whole(self.sent.nonzero()[:, 0].tolist()):
            return super()._added(divisor)
        total = torch.zeros_like(self._like)
        for part in self._deliveries:
            part.packet.add_to(total)
        return total.div_(divisor)

    def _whole(self, senders: list[int]) -> bool:
        """Whether the packets hold just the messages of `senders`, in their order."""
        found = [sender for part in self._deliveries for sender in part.senders]
        return found == senders and all(
            len(part.picked) == part.packet.rows for part in self._deliveries
        )
