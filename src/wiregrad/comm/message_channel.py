"""Channels that send message by message, and count what each message costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad import wire
from wiregrad.comm.accounting import price_rows
from wiregrad.comm.channel import Accept, Channel
from wiregrad.comm.compression_error import relative_errors, squared_norms
from wiregrad.comm.link import Link
from wiregrad.compressors.base import Compressor
from wiregrad.compressors.encoded import Encoded
from wiregrad.kernels.draws import Generators


@dataclass
class Meter:
    """Bits of one direction since the start, summed over the senders of this process."""

    wire: int = 0
    """On the wire, headers included."""
    paper: int = 0
    """By the convention of the paper."""


class MessageChannel(Channel):
    """A channel whose rows are messages of their own, which a runtime delivers.

    Senders may speak one after the other (rows of a few workers at a time), each once a round.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.meter = Meter()
        self.measure = False
        self.offered = False
        """Whether a method has ever let senders choose: to skip, or among compressors."""
        self._errors: list[float] = []
        self._meter_before = Meter()

    # -- a round ----------------------------------------------------------------------------

    def open(self, measure: bool) -> None:
        """Begin a round; with `measure`, the relative compression errors are kept."""
        super().open(measure)
        self.measure = measure
        self._errors.clear()
        self._meter_before = replace(self.meter)

    def cancel(self) -> None:
        """Take back what this round has counted: a row was not finite, so no message was sent."""
        self.meter = self._meter_before
        self._errors.clear()

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
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders = self._take_senders(rows)
        if where is None:
            decoded = self._send(compressor, rows, senders, tag, priced_as)
        else:
            self.offered = True
            decoded = torch.zeros_like(rows)
            sending = self._send_empty_payloads(where, senders, x.dtype)
            if sending:
                tags = None if tag is None else tag.reshape(-1)[sending]
                chosen = [senders[row] for row in sending]
                decoded[sending] = self._send(compressor, rows[sending], chosen, tags, priced_as)
        if self.measure:
            tracked = rows if relative_to is None else relative_to.reshape(rows.shape)
            self._errors += relative_errors(rows, decoded, tracked)
        return decoded.view(x.shape)

    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> None:
        """See Channel."""
        rows = residual.view(-1, residual.shape[-1])
        senders, squares = self._take_senders(rows), list[float]()
        added = x.reshape(rows.shape)
        if self.measure:
            squares = squared_norms(rows.add_(added))
        encoded = self.blocked(compressor).encode_with_feedback(
            rows, None if self.measure else added, self._generators_of(senders)
        )
        self._deliver_and_count(encoded, range(encoded.rows), senders, None, None)
        self.choices[senders] = 0
        if self.measure:
            left = squared_norms(rows)
            self._errors += [e / s if s else 0.0 for e, s in zip(left, squares, strict=True)]

    def append_part(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders = list(range(self._next_sender - len(rows), self._next_sender))
        encoded = self.blocked(compressor).encode(rows, self._generators_of(senders))
        self._deliver_and_count(encoded, range(encoded.rows), senders, None, None)
        self.choices[senders] = self.choices[senders].clamp(min=0)
        return encoded.decode().view(x.shape)

    def cascade(
        self,
        compressors: Sequence[Compressor],
        x: torch.Tensor,
        accept: Accept,
        where: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders, pending = self._take_senders(rows), list(range(len(rows)))
        decoded, self.offered = torch.zeros_like(rows), True
        if where is not None:
            pending = self._send_empty_payloads(where, senders, x.dtype)
        for level, compressor in enumerate(compressors):
            if not pending:
                break
            generators = self._generators_of([senders[row] for row in pending])
            encoded = self.blocked(compressor).encode(rows[pending], generators)
            tried = encoded.decode()
            accepted = [True] * len(pending)
            if level < len(compressors) - 1:
                accepted = accept(tried, torch.tensor(pending, device=rows.device)).tolist()
            picked = [i for i, yes in enumerate(accepted) if yes]
            mine = [pending[i] for i in picked]
            if mine:
                chosen = [senders[row] for row in mine]
                self._deliver_and_count(encoded, picked, chosen, None, None)
                decoded[mine] = tried[picked]
                self.choices[chosen] = level
            pending = [row for row, yes in zip(pending, accepted, strict=True) if not yes]
        if self.measure:
            self._errors += relative_errors(rows, decoded, rows)
        return decoded.view(x.shape)

    # -- what a runtime asks ----------------------------------------------------------------

    def compression_error(self) -> float:
        """Mean over this round's rows of ‖C(x) − x‖² / ‖x‖² (or / ‖y‖² of the tracked vector y).

        NaN when it was not measured.
        """
        return sum(self._errors) / len(self._errors) if self._errors else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Meters and generator states, for a checkpoint."""
        states = [generator.get_state() for generator in self.generators]
        return {
            "wire": self.meter.wire,
            "paper": self.meter.paper,
            "offered": self.offered,
            "generators": states,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.meter = Meter(state["wire"], state["paper"])
        self.offered = state["offered"]
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)

    def count(self, senders: Sequence[int], wire_bits: list[int], paper_bits: list[int]) -> None:
        """Count one message of each of `senders`; here all of them together."""
        del senders
        self.meter.wire += sum(wire_bits)
        self.meter.paper += sum(paper_bits)

    @abstractmethod
    def deliver(
        self,
        encoded: Encoded,
        rows: Sequence[int],
        senders: Sequence[int],
        tags: torch.Tensor | None,
    ) -> None:
        """Bring these rows of `encoded`, one of each of `senders`, to their receiver.

        `tags`: int64, one for each row; None: all 0.
        """

    @abstractmethod
    def deliver_empty(self, sender: int, payload: wire.Payload) -> None:
        """Bring the empty payload of `sender` to its receiver."""

    # -- inside -----------------------------------------------------------------------------

    def _take_senders(self, rows: torch.Tensor) -> list[int]:
        """The senders of these rows: the next m that have not spoken."""
        senders = range(self._next_sender, self._next_sender + len(rows))
        if senders.stop > len(self.generators):
            raise RuntimeError(f"{senders.stop} rows sent by {len(self.generators)} senders")
        self._next_sender = senders.stop
        return list(senders)

    def _generators_of(self, senders: Sequence[int]) -> Generators:
        return [self.generators[i] for i in senders]

    def _send_empty_payloads(
        self, where: torch.Tensor, senders: list[int], dtype: torch.dtype
    ) -> list[int]:
        """Send the empty payloads of those that `where` leaves out; return the rows that send."""
        sends = where.reshape(-1).tolist()
        skipping = [sender for sender, yes in zip(senders, sends, strict=True) if not yes]
        empty = wire.Payload.empty(dtype)
        self.count(skipping, [empty.wire_bits] * len(skipping), [0] * len(skipping))
        for sender in skipping:
            self.deliver_empty(sender, empty)
        return [row for row, yes in enumerate(sends) if yes]

    def _send(
        self,
        compressor: Compressor,
        rows: torch.Tensor,
        senders: list[int],
        tags: torch.Tensor | None,
        priced_as: Compressor | None,
    ) -> torch.Tensor:
        """Send C(row) of every row `[m, d]`; return what receivers decode."""
        encoded = self.blocked(compressor).encode(rows, self._generators_of(senders))
        self._deliver_and_count(encoded, range(encoded.rows), senders, tags, priced_as)
        self.choices[senders] = 0
        return encoded.decode()

    def _deliver_and_count(
        self,
        encoded: Encoded,
        rows: Sequence[int],
        senders: list[int],
        tags: torch.Tensor | None,
        priced_as: Compressor | None,
    ) -> None:
        costs = encoded.costs()
        priced = encoded if priced_as is None else self._encoded_as(priced_as, encoded)
        paper = price_rows(priced, [self.link.price])
        self.count(senders, [costs[i][1] for i in rows], [paper[i][0] for i in rows])
        self.deliver(encoded, rows, senders, tags)

    def _encoded_as(self, compressor: Compressor, encoded: Encoded) -> Encoded:
        """The same vectors encoded by `compressor`, only to be priced."""
        generators = [  # no sender's stream may move
            torch.Generator(device=encoded.device).manual_seed(i) for i in range(encoded.rows)
        ]
        return self.blocked(compressor).encode(encoded.decode(), generators)
