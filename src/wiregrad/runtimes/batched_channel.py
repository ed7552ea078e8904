"""The channel of many simulated runs at once: compresses, delivers and counts for each of them.

Any compressor can be used. One that offers `decode_rows`, as exact Top-k does, is simulated without
encoding its messages, and their bits are worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wiregrad import wire
from wiregrad.comm.accounting import Price, price_rows
from wiregrad.comm.channel import Accept, Channel
from wiregrad.comm.link import Link
from wiregrad.comm.received import Received
from wiregrad.compressors.base import Compressor
from wiregrad.compressors.encoded import Encoded
from wiregrad.core.errors import ConfigError


class ReceivedBatch(Received):
    """The messages of m senders in each of R runs: `sent` and `tags` are `[R, m]`.

    `rows` are `[R, m, d]`, their mean and sum over the senders `[R, d]`.
    """

    def __init__(self, runs: int, senders: int, like: torch.Tensor) -> None:
        self.sent = torch.zeros(runs, senders, dtype=torch.bool)
        self.tags = torch.zeros(runs, senders, dtype=torch.int64)
        self._like = like
        self._rows: torch.Tensor | None = None

    def put(
        self, decoded: torch.Tensor, sent: torch.Tensor | None, tags: torch.Tensor | None
    ) -> None:
        """Take in decoded messages `[R, m, d]`; `sent`, `tags` `[R, m]`, or None: all, and 0."""
        self._rows = decoded
        self.sent = torch.ones_like(self.sent) if sent is None else sent
        self.tags = torch.zeros_like(self.tags) if tags is None else tags

    def add(self, decoded: torch.Tensor) -> None:
        """Add a further part of all messages, decoded, `[R, m, d]`."""
        self._rows = self.rows() + decoded
        self.sent = torch.ones_like(self.sent)

    def rows(self) -> torch.Tensor:
        """The decoded vectors `[R, m, d]`; not to be written to."""
        if self._rows is None:
            return self._like.new_zeros(*self.sent.shape, self._like.shape[-1])
        return self._rows

    def _sum_over(self, divisor: int) -> torch.Tensor:
        rows = self.rows()
        total = torch.zeros_like(rows[:, 0])
        for sender in range(rows.shape[1]):
            total += rows[:, sender]
        return total.div_(divisor)


class BatchedChannel(Channel):
    """One direction of R runs of m senders each: rows are `[R, m, d]` (`[R, d]` where m = 1).

    Every sender sends once a round, all of them at once. A row that is not finite marks its run in
    `failed` and is not sent; the other runs go on. `prices`: of the conventions that price the
    messages. `like`: a tensor `[d]` of the vectors' float type and device.
    """

    def __init__(self, link: Link, runs: int, prices: Sequence[Price], like: torch.Tensor) -> None:
        super().__init__(link)
        self.senders = len(link.generators) // runs
        self.wire = torch.zeros(runs, dtype=torch.int64)
        """Bits on the wire since the start, summed over the senders of each run."""
        self.priced = torch.zeros(len(prices), runs, dtype=torch.int64)
        """The same by each of `prices`, `[c, R]`."""
        self.failed = torch.zeros(runs, dtype=torch.bool)
        self._prices, self._like = prices, like
        self._known: dict[tuple[Compressor, torch.dtype], tuple[int, ...]] = {}
        self.received = ReceivedBatch(runs, self.senders, like)

    def open(self, measure: bool) -> None:
        """Begin a round; compression errors are not measured."""
        super().open(measure)
        self.received = ReceivedBatch(len(self.wire), self.senders, self._like)

    def keep(self, runs: torch.Tensor) -> None:
        """Go on with only these runs (int64, places in the batch)."""
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
        priced_as: Compressor | None = None,
        relative_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See Channel; a batch measures no error."""
        del relative_to
        if priced_as is not None:
            raise ConfigError(
                f"{compressor.name} priced as another: such a run cannot be part of a batch"
            )
        rows = self._rows(x)
        sending = self._finite(rows)
        if where is not None:
            sending = sending & where.reshape(-1)
        decoded = self._send(compressor, rows, sending)
        self.choices[sending] = 0
        self._put(decoded, sending, tag)
        return decoded.view(x.shape)

    def append_part(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        decoded = self._send(compressor, rows, self._finite(rows))
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
            tried, bits = self._decode(compressor, rows[pending], pending)
            accepted = torch.ones(len(pending), dtype=torch.bool)
            if level < len(compressors) - 1:
                accepted = accept(tried, pending)
            mine = pending[accepted]
            decoded[mine] = tried[accepted]
            self.choices[mine] = level
            self._count(bits if bits.dim() == 1 else bits[:, accepted], mine)
            pending = pending[~accepted]
        self._put(decoded, sending, None)
        return decoded.view(x.shape)

    def decoded(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        found = self.blocked(compressor).decode_rows(x.reshape(-1, x.shape[-1]))
        return super().decoded(compressor, x) if found is None else found.view(x.shape)

    # -- inside -----------------------------------------------------------------------------

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self._next_sender or len(rows) != len(self.generators):
            raise RuntimeError(
                f"{len(rows)} rows of {len(self.generators)} senders: a batch sends all rows at "
                "once, once a round"
            )
        self._next_sender = len(rows)
        return rows

    def _finite(self, rows: torch.Tensor) -> torch.Tensor:
        """Bool `[R·m]`: the rows of the runs whose rows are all finite."""
        bad = ~rows.isfinite().all(-1).view(-1, self.senders).all(-1)
        self.failed |= bad
        return (~self.failed).repeat_interleave(self.senders)

    def _send(
        self, compressor: Compressor, rows: torch.Tensor, sending: torch.Tensor
    ) -> torch.Tensor:
        """Count the messages of the rows `sending`; what is decoded `[R·m, d]`, else zeros."""
        if bool(sending.all()):
            everyone = torch.arange(len(rows))
            decoded, bits = self._decode(compressor, rows, everyone)
            self._count(bits, everyone)
            return decoded
        chosen = sending.nonzero()[:, 0]
        decoded = torch.zeros_like(rows)
        if len(chosen):
            decoded[chosen], bits = self._decode(compressor, rows[chosen], chosen)
            self._count(bits, chosen)
        return decoded

    def _decode(
        self, compressor: Compressor, rows: torch.Tensor, senders: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is decoded of `rows` `[k, d]`, and its bits.

        Those are int64 `[1 + c, k]`: on the wire, then by each price; `[1 + c]` where all messages
        cost the same.
        """
        blocked = self.blocked(compressor)
        decoded = blocked.decode_rows(rows)
        if decoded is not None:
            return decoded, self._equal_bits(compressor, rows)
        encoded = blocked.encode(rows, [self.generators[i] for i in senders.tolist()])
        return encoded.decode(), torch.tensor(self._bits(encoded)).T

    def _bits(self, encoded: Encoded) -> list[tuple[int, ...]]:
        """Bits of each row's message: on the wire, then by each price."""
        priced = price_rows(encoded, self._prices)
        return [
            (wire_bits, *each) for (_, wire_bits), each in zip(encoded.costs(), priced, strict=True)
        ]

    def _equal_bits(self, compressor: Compressor, rows: torch.Tensor) -> torch.Tensor:
        """The bits of each message of a compressor whose messages all cost the same."""
        key = (compressor, rows.dtype)
        if key not in self._known:
            (self._known[key],) = self._bits(self.blocked(compressor).encode(rows[:1]))
        return torch.tensor(self._known[key])

    def _count(self, bits: torch.Tensor, senders: torch.Tensor) -> None:
        runs = senders // self.senders
        each = bits[:, None].expand(-1, len(senders)) if bits.dim() == 1 else bits
        self.wire.index_add_(0, runs, each[0])
        self.priced.index_add_(1, runs, each[1:])

    def _put(self, decoded: torch.Tensor, sending: torch.Tensor, tag: torch.Tensor | None) -> None:
        skipping = (~sending).view(-1, self.senders).sum(-1)
        self.wire += wire.Payload.empty(decoded.dtype).wire_bits * skipping
        shape = (len(self.wire), self.senders)
        tags = None if tag is None else tag.reshape(shape)
        self.received.put(decoded.view(*shape, -1), sending.view(shape), tags)
