"""A worker of a parameter server: what its process does, from a configuration to its last frame."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad.comm import accounting
from wiregrad.comm.channel import Link
from wiregrad.compressors.base import decode
from wiregrad.core.errors import ConfigError, NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Step
from wiregrad.runs.config import RunConfig
from wiregrad.runtimes.base import tensors_of
from wiregrad.runtimes.distributed.exchange import PeerLost
from wiregrad.runtimes.distributed.ranks import end_with_parent
from wiregrad.runtimes.distributed.runtime import WireChannel, own_row
from wiregrad.runtimes.parameter_server.pair import (
    WORKER,
    Frame,
    Kind,
    Pair,
    announce,
    meeting_place,
    unpacked,
)
from wiregrad.runtimes.settings import ParameterServerSpec
from wiregrad.wire import EMPTY, Payload


@dataclass(frozen=True)
class Place:
    """Where a process finds its server, and which it is."""

    port: int
    worker: int
    incarnation: int
    """How many processes of this worker were there before."""
    seconds: float
    """How long it waits for the server."""


def work(config: dict[str, Any], place: Place) -> None:
    """Serve as one worker until the server says stop, or is gone."""
    end_with_parent()
    torch.set_num_threads(1)
    with suppress(PeerLost):  # the server is gone: it has said why, or nobody is left to hear
        store = meeting_place(place.port, place.seconds, serves=False)
        worker = Worker(RunConfig.parse(config), place)
        name = f"{place.worker}.{place.incarnation}"
        announce(store, name)
        worker.run(Pair(store, name, WORKER, place.seconds))
    sys.stdout.flush()


class Worker:
    """One worker's state, and its end of the pair."""

    def __init__(self, config: RunConfig, place: Place) -> None:
        if not isinstance(config.runtime, ParameterServerSpec):
            raise ConfigError(f"runtime.name: {config.runtime.name} has no such workers")
        self.config, self.place, self.spec = config, place, config.runtime
        self.seeds = Seeds(config.seed)
        n, cpu = self.spec.workers, torch.device("cpu")
        self.problem = config.problem.build(n, self.seeds, cpu)
        self.method = config.method
        workers, _, self.replica = self.method.init(self.problem.x0(), n)
        self.mine = own_row(workers, place.worker, n, self.method.name)
        seeds = self.seeds
        if place.incarnation:  # it must not draw again what was drawn before
            seeds = Seeds(seeds.seed("incarnation", place.incarnation))
        link = Link.of(
            "uplink",
            [place.worker],
            layout=self.problem.layout,
            blocks=self.method.blocks,
            convention=accounting.convention(config.log.convention),
            seeds=seeds,
            device=cpu,
        )
        self.up = WireChannel(link)
        self.grads = self.problem.gradient_buffer(1)
        self.steps_per_epoch = self.problem.steps_per_epoch * n
        self.total = config.budget.total_steps(
            self.problem.steps_per_epoch, self.problem.samples_per_step, n
        )
        self.t = self.sent = 0

    def run(self, pair: Pair) -> None:
        """Frame by frame until stop."""
        while True:
            order = pair.receive()
            if order.kind == Kind.STOP:
                pair.send(Frame(Kind.DONE, self.sent))
                return
            if order.kind == Kind.WELCOME:
                self.t = order.heard
                read_tensors(self.replica, order.body)
            else:
                self._catch_up(order.body)
            pair.send(self._message(order.number))

    def step(self, update: int) -> Step:
        """The round that would be update `update`."""
        epoch = (update - 1) / self.steps_per_epoch
        return Step(update, self.total, self.method.lr_at(epoch), epoch, self.seeds)

    def _catch_up(self, body: bytes) -> None:
        """Move as the broadcasts say."""
        for update, data in unpacked(body):
            vector = decoded(data, self.grads[0])
            self.method.move(self.replica, vector, self.step(update))

    def _message(self, version: int) -> Frame:
        """The gradient at x after `version` updates, as a message."""
        start = time.monotonic()
        self.t += 1
        share = max(1, self.total // self.problem.workers)
        step = replace(self.step(version + 1), t=self.t, total=share)
        pause = self.spec.compute.seconds(self.seeds, self.place.worker, self.t)
        self.up.open(measure=True)
        try:
            self.problem.gradients(self.replica.x, self.t, self.grads, [self.place.worker])
            time.sleep(pause)
            self.method.work(self.mine, self.replica, self.grads, self.up, step)
        except NonFiniteError:
            return Frame(Kind.DIVERGED, self.sent)
        self.sent += 1
        return Frame(
            Kind.MESSAGE,
            self.sent,
            paper_bits=self.up.paper_bits,
            error=self.up.compression_error(),
            start=start,
            end=time.monotonic(),
            body=self.up.message,
        )


def parts_of(data: bytes, numel: int) -> list[Payload]:
    """The payloads of a message that are not empty; raises PayloadError."""
    return [part for part in Payload.sequence(data, numel=numel) if part.codec != EMPTY]


def decoded(data: bytes, like: torch.Tensor) -> torch.Tensor:
    """The vector `[d]` of a message, zeros for an empty one; raises PayloadError."""
    vector = torch.zeros_like(like)
    for part in parts_of(data, len(like)):
        vector += decode(part).to(vector.device)
    return vector


def tensor_bytes(part: Any) -> bytes:
    """The tensors of a state dataclass, one after the other."""
    return b"".join(tensor.cpu().numpy().tobytes() for tensor in tensors_of(part).values())


def read_tensors(part: Any, data: bytes) -> None:
    """Set the tensors of a state dataclass from `tensor_bytes`."""
    at = 0
    for tensor in tensors_of(part).values():
        size = tensor.numel() * tensor.element_size()
        piece = torch.frombuffer(bytearray(data[at : at + size]), dtype=tensor.dtype)
        tensor.copy_(piece.view(tensor.shape))
        at += size
