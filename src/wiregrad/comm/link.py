"""Links: how the messages of each direction are cut into blocks, drawn and priced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from wiregrad.comm.accounting import Convention, Price
from wiregrad.core.layout import BlockKind, Layout
from wiregrad.core.rng import Seeds


@dataclass(frozen=True)
class Link:
    """One direction: how vectors are cut into blocks, what a message is charged, who draws."""

    layout: Layout
    blocks: BlockKind
    price: Price
    generators: Sequence[torch.Generator]
    """One for each sender, in their order."""


@dataclass(frozen=True)
class Links:
    """The links between the workers and the server of one run.

    `convention` prices their messages. `seeds` are the run's: every sender draws from a stream of
    its own, named by direction and sender, so that all runtimes send the same bytes. `device`: of
    the vectors that are sent, and of the generators.
    """

    layout: Layout
    blocks: BlockKind
    convention: Convention
    seeds: Seeds
    device: torch.device

    def uplink(self, workers: Sequence[int]) -> Link:
        """From these workers to the server; for several runs at once, workers may stand again."""
        return self._link("uplink", self.convention.uplink, workers)

    def downlink(self, runs: int = 1) -> Link:
        """From the server to all workers: one broadcast, so one sender for each of `runs`."""
        return self._link("downlink", self.convention.downlink, [0] * runs)

    def _link(self, name: str, price: Price, senders: Sequence[int]) -> Link:
        generators = [
            self.seeds.generator("compressor", name, i, device=self.device) for i in senders
        ]
        return Link(self.layout, self.blocks, price, generators)
