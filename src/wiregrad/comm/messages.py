"""Channels that send message by message, and what the messages cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad import wire
from wiregrad.comm.accounting import Message
from wiregrad.comm.channel import Accept, Channel, Link
from wiregrad.comm.received import Delivery
from wiregrad.compressors.base import Compressor
from wiregrad.compressors.packet import Packet
from wiregrad.kernels.draws import Generators


@dataclass
class Meter:
    """Bits of one direction since the start, summed over the senders of this process."""

    wire: int = 0
    paper: int = 0


class MessageChannel(Channel):
    """A channel whose rows are messages of their own, which a runtime delivers.

    A sender may speak in pieces (rows of a few workers at a time), but each row once a round.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.meter = Meter()
        self.measure = False
        self.offered = False
        """Whether a method has ever let senders choose: to be silent, or among compressors."""
        self._errors: list[float] = []
        self._before = Meter()

    # -- a round ----------------------------------------------------------------------------

    def open(self, measure: bool) -> None:
        """Begin a round; with `measure`, the relative compression error is kept."""
        super().open(measure)
        self.measure = measure
        self._errors.clear()
        self._before = replace(self.meter)

    def cancel(self) -> None:
        """Take back what this round counted: a row was not finite, so that nobody sends."""
        self.meter = self._before
        self._errors.clear()

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
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders = self._next(rows)
        blocked = self.blocked(compressor)
        if where is None:
            packet = blocked.code(rows, self._drawing(senders))
            self._send(packet, senders, tag, billed_as)
            decoded = packet.decode()
        else:
            self.offered = True
            decoded = torch.zeros_like(rows)
            sending = self._told_apart(where, senders, x.dtype)
            if sending:
                packet = blocked.code(rows[sending], self._drawing([senders[i] for i in sending]))
                tags = None if tag is None else tag.reshape(-1)[sending]
                self._send(packet, [senders[i] for i in sending], tags, billed_as)
                decoded[sending] = packet.decode()
        if self.measure:
            tracked = rows if relative_to is None else relative_to.reshape(rows.shape)
            self._errors += _relative_errors(rows, decoded, tracked)
        return decoded.view(x.shape)

    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> None:
        """See Channel."""
        rows = residual.view(-1, residual.shape[-1])
        senders, squares = self._next(rows), list[float]()
        added = x.reshape(rows.shape)
        if self.measure:
            squares = _squares(rows.add_(added))
        packet = self.blocked(compressor).feedback(
            rows, None if self.measure else added, self._drawing(senders)
        )
        self._send(packet, senders, None, None)
        if self.measure:
            left = _squares(rows)
            self._errors += [e / s if s else 0.0 for e, s in zip(left, squares, strict=True)]

    def more(self, compressor: Compressor, x: torch.Tensor) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders = list(range(self._at - len(rows), self._at))
        packet = self.blocked(compressor).code(rows, self._drawing(senders))
        self._deliver_and_count(packet, range(packet.rows), senders, None, None)
        self.choices[senders] = self.choices[senders].clamp(min=0)
        return packet.decode().view(x.shape)

    def cascade(
        self,
        compressors: Sequence[Compressor],
        x: torch.Tensor,
        accept: Accept,
        where: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See Channel."""
        rows = x.reshape(-1, x.shape[-1])
        senders, pending = self._next(rows), list(range(len(rows)))
        decoded, self.offered = torch.zeros_like(rows), True
        if where is not None:
            pending = self._told_apart(where, senders, x.dtype)
        for level, compressor in enumerate(compressors):
            if not pending:
                break
            drawing = self._drawing([senders[i] for i in pending])
            packet = self.blocked(compressor).code(rows[pending], drawing)
            tried = packet.decode()
            last = level == len(compressors) - 1
            taken = [True] * len(pending)
            if not last:
                taken = accept(tried, torch.tensor(pending, device=rows.device)).tolist()
            picked = [i for i, yes in enumerate(taken) if yes]
            mine = [pending[i] for i in picked]
            if mine:
                self._deliver_and_count(packet, picked, [senders[i] for i in mine], None, None)
                decoded[mine] = tried[picked]
                self.choices[[senders[i] for i in mine]] = level
            pending = [i for i, yes in zip(pending, taken, strict=True) if not yes]
        if self.measure:
            self._errors += _relative_errors(rows, decoded, rows)
        return decoded.view(x.shape)

    # -- what a runtime asks ----------------------------------------------------------------

    def compression_error(self) -> float:
        """Mean over this round's rows of ‖C(x) − x‖² / ‖x‖², or over ‖y‖² of what is tracked.

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

    def tally(self, senders: Sequence[int], wire_bits: list[int], paper_bits: list[int]) -> None:
        """Count one message of each of `senders`; here all of them together."""
        del senders
        self.meter.wire += sum(wire_bits)
        self.meter.paper += sum(paper_bits)

    @abstractmethod
    def deliver(self, delivery: Delivery, tags: torch.Tensor | None) -> None:
        """Bring these messages to their receiver."""

    @abstractmethod
    def deliver_empty(self, sender: int, payload: wire.Payload) -> None:
        """Bring the empty payload of `sender` to its receiver."""

    # -- inside -----------------------------------------------------------------------------

    def _next(self, rows: torch.Tensor) -> list[int]:
        """The senders of these rows: the next m that have not spoken."""
        senders = range(self._at, self._at + len(rows))
        if senders.stop > len(self.generators):
            raise RuntimeError(f"{senders.stop} rows sent by {len(self.generators)} senders")
        self._at = senders.stop
        return list(senders)

    def _drawing(self, senders: Sequence[int]) -> Generators:
        return [self.generators[i] for i in senders]

    def _told_apart(self, where: torch.Tensor, senders: list[int], dtype: torch.dtype) -> list[int]:
        """Send the empty payloads; the rows of the others."""
        told = where.reshape(-1).tolist()
        silent = [sender for sender, sends in zip(senders, told, strict=True) if not sends]
        empty = wire.Payload.empty(dtype)
        self.tally(silent, [empty.wire_bits] * len(silent), [0] * len(silent))
        for sender in silent:
            self.deliver_empty(sender, empty)
        return [row for row, sends in enumerate(told) if sends]

    def _send(
        self,
        packet: Packet,
        senders: list[int],
        tags: torch.Tensor | None,
        billed_as: Compressor | None,
    ) -> None:
        self._deliver_and_count(packet, range(packet.rows), senders, tags, billed_as)
        self.choices[senders] = 0

    def _deliver_and_count(
        self,
        packet: Packet,
        picked: Sequence[int],
        senders: list[int],
        tags: torch.Tensor | None,
        billed_as: Compressor | None,
    ) -> None:
        costs, priced = packet.costs(), packet
        if billed_as is not None:
            priced = self._as_if(billed_as, packet)
        paper = _prices(priced, self.link.price)
        self.tally(senders, [costs[i][1] for i in picked], [paper[i] for i in picked])
        self.deliver(Delivery(packet, picked, senders), tags)

    def _as_if(self, compressor: Compressor, packet: Packet) -> Packet:
        """The messages that `compressor` would have sent in place of these, without sending."""
        apart = [  # no sender's stream may move
            torch.Generator(device=packet.device).manual_seed(i) for i in range(packet.rows)
        ]
        return self.blocked(compressor).code(packet.decode(), apart)


def _prices(packet: Packet, price: Callable[[Message], int]) -> list[int]:
    """What a paper's books charge for each row."""
    blocked, known, prices = packet.blocked, dict[Any, int](), list[int]()
    for row, (params, (body_bits, _)) in enumerate(zip(packet.params, packet.costs(), strict=True)):
        counted = Nonzeros(packet, row)
        if params not in known:
            message = Message(blocked.inner, blocked.shapes, params, body_bits, counted)
            known[params] = price(message)
        prices.append(known[params])
        if counted.asked:  # the price is this row's own
            del known[params]
    return prices


@dataclass
class Nonzeros:
    """Counts, when asked, the elements of each block of one row that are not 0."""

    packet: Packet
    row: int
    asked: bool = False

    def __call__(self) -> tuple[int, ...]:
        """Their number in each block."""
        self.asked = True
        pieces = self.packet.blocked.split(self.packet.decode()[self.row])
        return tuple(int(piece.count_nonzero()) for piece in pieces)


_PART = 1 << 16
"""Elements whose squares are summed at a time: they are float64 then."""


def _squares(rows: torch.Tensor) -> list[float]:
    """‖x‖² of each row, summed in float64."""
    return [sum(float(part.double().square().sum()) for part in row.split(_PART)) for row in rows]


def _relative_errors(x: torch.Tensor, decoded: torch.Tensor, against: torch.Tensor) -> list[float]:
    errors = []
    for row, got, square in zip(x, decoded, _squares(against), strict=True):
        parts = zip(row.split(_PART), got.split(_PART), strict=True)
        error = sum(float((b.double() - a.double()).square().sum()) for a, b in parts)
        errors.append(error / square if square else 0.0)
    return errors
