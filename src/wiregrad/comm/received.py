"""What has arrived on a channel in one round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch

from wiregrad import kernels
from wiregrad.comm.message import Message
from wiregrad.compressors.encoded import Encoded
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
        return self._sum_over(self.sent.shape[-1])

    def sum(self) -> torch.Tensor:
        """Their sum `[d]` over the senders, as a new tensor: rows are added in their order."""
        return self._sum_over(1)

    def _sum_over(self, divisor: int) -> torch.Tensor:
        """The sum of the rows, divided by `divisor`."""
        rows = self.rows()
        total = torch.zeros_like(rows[0])
        if kernels.supports(rows):
            mean_rows(rows, total, divisor)
            return total
        for row in rows:
            total += row
        return total.div_(divisor)


class ReceivedRows(Received):
    """Messages that were decoded one by one, each into its sender's row.

    `senders`: their number m. `like`: a tensor `[..., d]` of the rows' float type and device.
    """

    def __init__(self, senders: int, like: torch.Tensor) -> None:
        self._rows = like.new_zeros(senders, like.shape[-1])
        self.sent = torch.zeros(senders, dtype=torch.bool)
        self.tags = torch.zeros(senders, dtype=torch.int64)

    def put(self, sender: int, message: Message) -> None:
        """Take in the message of `sender`, in place of its last one."""
        self.sent[sender], self.tags[sender] = len(message.parts) > 0, message.tag
        self._rows[sender].zero_()
        for part in message.parts:
            self._rows[sender] += part.to(self._rows.device)

    def rows(self) -> torch.Tensor:
        """See Received."""
        return self._rows


class _Delivered(NamedTuple):
    """Rows of an encoded batch, and their senders."""

    encoded: Encoded
    rows: Sequence[int]
    senders: Sequence[int]


class ReceivedEncoded(Received):
    """Messages that stay encoded until somebody asks for their rows.

    `senders`: their number m. `like`: a tensor `[d]` of the rows' float type and device.
    """

    def __init__(self, senders: int, like: torch.Tensor) -> None:
        self._like = like
        self._delivered: list[_Delivered] = []
        self.sent = torch.zeros(senders, dtype=torch.bool)
        self.tags = torch.zeros(senders, dtype=torch.int64)

    def clear(self) -> None:
        """Begin a round."""
        self._delivered.clear()
        self.sent.zero_()
        self.tags.zero_()

    def put(
        self,
        encoded: Encoded,
        rows: Sequence[int],
        senders: Sequence[int],
        tags: torch.Tensor | None,
    ) -> None:
        """Take in these rows of `encoded`, one of each of `senders`, with their tags (None: 0)."""
        self._delivered.append(_Delivered(encoded, rows, senders))
        chosen = list(senders)
        self.sent[chosen] = True
        if tags is not None:
            self.tags[chosen] = tags.cpu()

    def shares_memory_with(self, x: torch.Tensor) -> bool:
        """Whether a message lies in the memory of `x` itself, so that `x` must stay as it is."""
        return any(part.encoded.shares_memory_with(x) for part in self._delivered)

    def rows(self) -> torch.Tensor:
        """See Received."""
        everyone = list(range(len(self.sent)))
        if len(self._delivered) == 1 and self._holds_just(everyone):
            return self._delivered[0].encoded.decode()
        rows = self._like.new_zeros(len(self.sent), self._like.shape[-1])
        for part in self._delivered:
            rows[list(part.senders)] += part.encoded.decode()[list(part.rows)]
        return rows

    def _sum_over(self, divisor: int) -> torch.Tensor:
        decoded = len(self._delivered) == 1 and self._delivered[0].encoded.decoded is not None
        if decoded or not self._holds_just(self.sent.nonzero()[:, 0].tolist()):
            return super()._sum_over(divisor)
        total = torch.zeros_like(self._like)
        for part in self._delivered:
            part.encoded.add_to(total)
        return total.div_(divisor)

    def _holds_just(self, senders: list[int]) -> bool:
        """Whether the batches hold just the messages of `senders`, in their order."""
        found = [sender for part in self._delivered for sender in part.senders]
        return found == senders and all(
            len(part.rows) == part.encoded.rows for part in self._delivered
        )
