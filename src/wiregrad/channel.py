"""The channel a method speaks into: it compresses, delivers, counts, and tells what arrives.

A method never sees bytes. `Channel` turns its three verbs (send, send with error feedback, send
dense) into one primitive, `_send`, which each runtime implements: a fused round trip in the
simulation, real bytes between processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad import wire
from wiregrad.bits import Convention, Message
from wiregrad.compressors.base import Blocked, Compressor, Roundtrip
from wiregrad.compressors.identity import Identity
from wiregrad.layout import BlockKind, Layout

_DENSE = Identity()


@dataclass
class Meter:
    """Bits of one direction since the start, summed over the senders of this process."""

    wire: int = 0
    paper: int = 0


class Channel(ABC):
    """One direction of one round. Uplink rows are workers; the downlink has a single row.

    A sender may speak in pieces (rows of a few workers at a time), but each row once a round.
    """

    def __init__(
        self,
        layout: Layout,
        blocks: BlockKind,
        charge: str,
        convention: Convention,
        generators: Sequence[torch.Generator],
    ) -> None:
        self.layout, self.blocks = layout, blocks
        self.meter = Meter()
        self.generators = generators
        self._price = convention.uplink if charge == "uplink" else convention.downlink
        self._blocked: dict[tuple[Compressor, bool], Blocked] = {}
        self.measure = False
        self._errors: list[torch.Tensor] = []
        self._at = 0
        self._before = Meter()

    def open(self, measure: bool) -> None:
        """Begin a round; with `measure`, the relative compression error is kept."""
        self.measure = measure
        self._errors.clear()
        self._at = 0
        self._before = replace(self.meter)

    def cancel(self) -> None:
        """Take back what this round counted: a row was not finite, so that nobody sends."""
        self.meter = self._before
        self._errors.clear()

    def __call__(
        self,
        compressor: Compressor,
        x: torch.Tensor,
        where: torch.Tensor | None = None,
        billed_as: Compressor | None = None,
    ) -> torch.Tensor:
        """Send C(row) for each row of `x` `[m, d]` (or one `[d]`); returns what is decoded.

        `where` `[m]` bool: the other rows send an empty payload and count as zeros.
        `billed_as`: the compressor that the paper's books charge this message to.
        """
        rows = x if x.dim() == 2 else x[None]
        decoded = self._send_rows(compressor, rows, where, billed_as)
        if self.measure:
            self._errors.append(_relative_error(rows, decoded))
        return decoded if x.dim() == 2 else decoded[0]

    def error_feedback(
        self, compressor: Compressor, x: torch.Tensor, residual: torch.Tensor
    ) -> torch.Tensor:
        """Send c = C(x + residual) and set residual ← x + residual − c, in place; returns c."""
        residual += x
        sent = self(compressor, residual)
        residual -= sent
        return sent

    def dense(self, x: torch.Tensor, billed_as: Compressor | None = None) -> torch.Tensor:
        """Send the rows uncompressed."""
        return self(_DENSE, x, billed_as=billed_as)

    def compression_error(self) -> float:
        """Mean over this round's rows of ‖C(x) − x‖² / ‖x‖²; NaN when it was not measured."""
        return float(torch.cat(self._errors).mean()) if self._errors else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Meters and generator states, for a checkpoint."""
        states = [generator.get_state() for generator in self.generators]
        return {"wire": self.meter.wire, "paper": self.meter.paper, "generators": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.meter = Meter(state["wire"], state["paper"])
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)

    def _send_rows(
        self,
        compressor: Compressor,
        rows: torch.Tensor,
        where: torch.Tensor | None,
        billed_as: Compressor | None,
    ) -> torch.Tensor:
        senders = range(self._at, self._at + len(rows))
        if senders.stop > len(self.generators):
            raise RuntimeError(f"{senders.stop} rows sent by {len(self.generators)} senders")
        self._at = senders.stop
        if where is None:
            return self._send(compressor, rows, senders, billed_as)
        decoded = torch.zeros_like(rows)
        for index, sends in enumerate(where.tolist()):
            sender = range(senders[index], senders[index] + 1)
            if sends:
                row = rows[index : index + 1]
                decoded[index] = self._send(compressor, row, sender, billed_as)[0]
            else:
                self._skip(rows, sender[0])
        return decoded

    def blocked(self, compressor: Compressor) -> Blocked:
        """`compressor` on this channel's blocks; dense messages are one block."""
        whole = compressor is _DENSE
        key = (compressor, whole)
        if key not in self._blocked:
            kind: BlockKind = "whole" if whole else self.blocks
            self._blocked[key] = compressor.blocked(self.layout, kind)
        return self._blocked[key]

    def _count(self, blocked: Blocked, trip: Roundtrip, billed_as: Compressor | None) -> None:
        self.meter.wire += sum(trip.wire_bits)
        for params, body_bits in zip(trip.params, trip.body_bits, strict=True):
            message = Message(blocked.inner, blocked.shapes, params, body_bits)
            if billed_as is not None:
                message = self._as_if(billed_as, trip.decoded)
            self.meter.paper += self._price(message)

    def _as_if(self, compressor: Compressor, x: torch.Tensor) -> Message:
        """The message that `compressor` would have sent in place of `x`, without sending it."""
        blocked = self.blocked(compressor)
        apart = torch.Generator(device=x.device).manual_seed(0)  # no sender's stream may move
        trip = blocked.roundtrip(torch.zeros_like(x[:1]), generators=[apart])
        return Message(compressor, blocked.shapes, trip.params[0], trip.body_bits[0])

    def _skip(self, rows: torch.Tensor, sender: int) -> None:
        self.meter.wire += wire.Payload.empty(rows.dtype).wire_bits
        self._deliver_empty(rows.dtype, sender)

    @abstractmethod
    def _send(
        self,
        compressor: Compressor,
        rows: torch.Tensor,
        senders: range,
        billed_as: Compressor | None,
    ) -> torch.Tensor:
        """Deliver the rows of `senders` and count them; returns what is decoded `[m, d]`."""

    @abstractmethod
    def _deliver_empty(self, dtype: torch.dtype, sender: int) -> None:
        """Deliver an empty payload from `sender`."""


def _relative_error(x: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    square = x.double().square().sum(-1)
    error = (decoded.double() - x.double()).square().sum(-1)
    return torch.where(square > 0, error / square.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
