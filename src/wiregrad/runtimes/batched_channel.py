"""The channel of many simulated runs at once: compresses, delivers and counts for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from wiregrad import wire
from wiregrad.comm.accounting import Message
from wiregrad.comm.channel import Accept, Channel, Link
from wiregrad.comm.messages import Nonzeros
from wiregrad.comm.received import Received
from wiregrad.compressors.base import Compressor
from wiregrad.compressors.identity import Identity
from wiregrad.compressors.packet import Packet
from wiregrad.compressors.sparse import resolve_k
from wiregrad.compressors.top_k import TopK
from wiregrad.core.errors import ConfigError

Prices = Sequence[Callable[[Message], int]]


class BatchReceived(Received):
    """The messages of m senders in each of R runs."""

    def __init__(self, runs: int, senders: int, like: torch.Tensor) -> None:
        self.sent = torch.zeros(runs, senders, dtype=torch.bool)
        self.tags = torch.zeros(runs, senders, dtype=torch.int64)
        self._like = like
        self._rows: torch.Tensor | None = None

    def put(
        self, decoded: torch.Tensor, sent: torch.Tensor | None, tags: torch.Tensor | None
    ) -> None:
        """What all senders said, `[R, m, d]`; `sent` and `tags` `[R, m]`, or None for all and 0."""
        self._rows = decoded
        self.sent = torch.ones_like(self.sent) if sent is None else sent
        self.tags = torch.zeros_like(self.tags) if tags is None else tags

    def add(self, decoded: torch.Tensor) -> None:
        """A further part of what all senders said, `[R, m, d]`."""
        self._rows = self.rows() + decoded
        self.sent = torch.ones_like(self.sent)

    def rows(self) -> torch.Tensor:
        """The decoded vectors `[R, m, d]`; not to be written to."""
        if self._rows is None:
            return self._like.new_zeros(*self.sent.shape, self._like.shape[-1])
        return self._rows

    def mean(self, dim: Literal[0] = 0) -> torch.Tensor:
        """Their mean `[R, d]` over the senders: rows are added in their order."""
        del dim
        rows = self.rows()
        total = torch.zeros_like(rows[:, 0])
        for sender in range(rows.shape[1]):
            total += rows[:, sender]
        return total.div_(rows.shape[1])


class BatchedChannel(Channel):
    """One direction of R runs of m senders each: rows are `[R, m, d]` (`[R, d]` where m = 1).

    Everybody speaks once a round. A row that is not finite marks its run in `failed` and is sent
    as nothing; the other runs go on.
    """

    def __init__(self, link: Link, runs: int, prices: Prices, like: torch.Tensor) -> None:
        super().__init__(link)
        self.senders = len(link.generators) // runs
        self.wire = torch.zeros(runs, dtype=torch.int64)
        """Bits since the start, summed over the senders of each run."""
        self.priced = torch.zeros(len(prices), runs, dtype=torch.int64)
        """The same in each of the books `prices`."""
        self.failed = torch.zeros(runs, dtype=torch.bool)
        self._prices, self._like = prices, like
        self._known: dict[tuple[Compressor, torch.dtype], list[int]] = {}
        self.received = BatchReceived(runs, self.senders, like)

    def open(self, measure: bool) -> None:
        """Begin a round; compression errors are not measured."""
        super().open(measure)
        self.received = BatchReceived(len(self.wire), self.senders, self._like)

    def keep(self, runs: torch.Tensor) -> None:
        """Go on with these runs (int64) alone."""
        self.generators = [
            self.generators[run * self.senders + sender]
            for run in runs.tolist()
            for sender in range(self.senders)
        ]
        self.wire, self.priced = self.wire[runs], self.priced[:, runs]
        self.failed = self.failed[runs]
        self.choices = self.choices.view(-1, self.senders)[runs].flatten()

    # -- what a method says -----------------------------------------------------------------

    def __call__(
        self,
        compressor: Compressor,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        tag: torch.Tensor | None = None,
        billed_as: Compressor | None = None,
        relative_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See Channel; a batch measures no error."""
        del relative_to
        if billed_as is not None:
            raise ConfigError(f"{compressor.name} billed as another: such a run has no batch")
        rows = self._rows(x)
        sending = self._finite(rows)
        if where is not None:
            sending = sending & where.reshape(-1)
        decoded = self._coded(compressor, rows, sending)
        self.choices[sending] = 0
        self._put(decoded, sending, tag)
        return decoded.view(x.shape)

    def more(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        decoded = self._coded(compressor, rows, self._finite(rows))
        self.received.add(decoded.view(len(self.wire), self.senders, -1))
        return decoded.view(x.shape)

    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> None:
        """See Channel."""
        residual += x
        residual -= self(compressor, residual)

    def cascade(
        self,
        compressors: Sequence[Compressor],
        x: torch.Tensor,
        accept: Accept,
        where: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See Channel."""
        rows = self._rows(x)
        sending = self._finite(rows)
        if where is not None:
            sending = sending & where.reshape(-1)
        decoded, pending = torch.zeros_like(rows), sending.nonzero()[:, 0]
        for level, compressor in enumerate(compressors):
            if not len(pending):
                break
            tried, bits = self._tried(compressor, rows[pending], pending)
            taken = torch.ones(len(pending), dtype=torch.bool)
            if level < len(compressors) - 1:
                taken = accept(tried, pending)
            mine = pending[taken]
            decoded[mine] = tried[taken]
            self.choices[mine] = level
            self._count(bits if bits.dim() == 1 else bits[:, taken], mine)
            pending = pending[~taken]
        self._put(decoded, sending, None)
        return decoded.view(x.shape)

    def decoded(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        if isinstance(compressor, TopK) and compressor.select == "exact":
            rows = x.reshape(-1, x.shape[-1])
            k = resolve_k(compressor.k, compressor.ratio, x.shape[-1])
            return largest(rows, k).view(x.shape)
        return super().decoded(compressor, x)

    # -- inside -----------------------------------------------------------------------------

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self._at or len(rows) != len(self.generators):
            raise RuntimeError(
                f"{len(rows)} rows of {len(self.generators)} senders: a batch speaks as one, once"
            )
        self._at = len(rows)
        return rows

    def _finite(self, rows: torch.Tensor) -> torch.Tensor:
        """Bool `[R·m]`: the rows of runs that are finite in all of theirs."""
        bad = ~rows.isfinite().all(-1).view(-1, self.senders).all(-1)
        self.failed |= bad
        return (~self.failed).repeat_interleave(self.senders)

    def _coded(
        self, compressor: Compressor, rows: torch.Tensor, sending: torch.Tensor
    ) -> torch.Tensor:
        """Count the messages of `sending`; what is decoded `[R·m, d]`."""
        if bool(sending.all()):
            everyone = torch.arange(len(rows))
            decoded, bits = self._tried(compressor, rows, everyone)
            self._count(bits, everyone)
            return decoded
        chosen = sending.nonzero()[:, 0]
        decoded = torch.zeros_like(rows)
        if len(chosen):
            decoded[chosen], bits = self._tried(compressor, rows[chosen], chosen)
            self._count(bits, chosen)
        return decoded

    def _tried(
        self, compressor: Compressor, rows: torch.Tensor, senders: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is decoded `[k, d]`, and its bits: wire, then the books, `[1 + books (, k)]`."""
        if isinstance(compressor, Identity):
            return rows, self._constant(compressor, rows)
        if isinstance(compressor, TopK) and compressor.select == "exact":
            k = resolve_k(compressor.k, compressor.ratio, rows.shape[-1])
            return largest(rows, k), self._constant(compressor, rows)
        packet = self.blocked(compressor).code(rows, [self.generators[i] for i in senders.tolist()])
        return packet.decode(), torch.tensor(self._bits(packet)).T

    def _bits(self, packet: Packet) -> list[list[int]]:
        """Bits of each row's message: on the wire, then in the books."""
        blocked, bits, known = packet.blocked, list[list[int]](), dict[Any, list[int]]()
        each = zip(packet.params, packet.costs(), strict=True)
        for row, (params, (body, whole)) in enumerate(each):
            found = known.get(params)
            if found is None:
                counted = Nonzeros(packet, row)
                message = Message(blocked.inner, blocked.shapes, params, body, counted)
                found = [whole, *(price(message) for price in self._prices)]
                if not counted.asked:  # else they are this row's own
                    known[params] = found
            bits.append(found)
        return bits

    def _constant(self, compressor: Compressor, rows: torch.Tensor) -> torch.Tensor:
        """The bits of each message of a compressor whose messages all cost the same."""
        key = (compressor, rows.dtype)
        if key not in self._known:
            (self._known[key],) = self._bits(self.blocked(compressor).code(rows[:1], None))
        return torch.tensor(self._known[key])

    def _count(self, bits: torch.Tensor, senders: torch.Tensor) -> None:
        runs = senders // self.senders
        each = bits[:, None].expand(-1, len(senders)) if bits.dim() == 1 else bits
        self.wire.index_add_(0, runs, each[0])
        self.priced.index_add_(1, runs, each[1:])

    def _put(self, decoded: torch.Tensor, sending: torch.Tensor, tag: torch.Tensor | None) -> None:
        silent = (~sending).view(-1, self.senders).sum(-1)
        self.wire += wire.Payload.empty(decoded.dtype).wire_bits * silent
        shape = (len(self.wire), self.senders)
        tags = None if tag is None else tag.reshape(shape)
        self.received.put(decoded.view(*shape, -1), sending.view(shape), tags)


def largest(x: torch.Tensor, k: int) -> torch.Tensor:
    """`x` `[m, d]` with all but the k largest |x_j| of each row zeroed; of equals, the first stay.

    What exact Top-k decodes to, for many short rows at once.
    """
    d = x.shape[-1]
    if k >= d:
        return x.clone()
    size = x.abs()
    if k == 1:
        threshold = size.amax(-1, keepdim=True)
    elif size.device.type != "cpu":
        threshold = size.kthvalue(d - k + 1, -1, keepdim=True).values
    else:  # NumPy selects with vector instructions
        threshold = torch.from_numpy(np.partition(size.numpy(), d - k, -1)[:, d - k : d - k + 1])
    kept = size >= threshold
    tied = (kept.sum(-1) > k).nonzero()[:, 0]
    if len(tied):
        above = size[tied] > threshold[tied]
        equal = kept[tied] & ~above
        room = k - above.sum(-1, keepdim=True)
        kept[tied] = above | (equal & (equal.cumsum(-1) <= room))
    return torch.where(kept, x, 0.0)
