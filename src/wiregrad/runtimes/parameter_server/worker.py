"""A worker of a parameter server: what its process does, from its first order to its last frame."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.message import Message
from wiregrad.comm.wire_channel import WireChannel
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.asynchronous.compute import ComputeTime
from wiregrad.runtimes.base import links_of, tensors_of
from wiregrad.runtimes.distributed.exchange import PeerLost
from wiregrad.runtimes.distributed.ranks import end_with_parent
from wiregrad.runtimes.distributed.runtime import own_row
from wiregrad.runtimes.parameter_server.connection import (
    WORKER,
    Connection,
    Frame,
    FrameKind,
    announce,
    rendezvous_store,
    unpack_broadcasts,
)


@dataclass(frozen=True)
class WorkerAddress:
    """Which worker a process is, and where its server waits."""

    port: int
    worker: int
    incarnation: int
    """How many processes this worker had before."""
    seconds: float
    """How long the process waits for the server."""


def run_worker(address: WorkerAddress, build: Callable[[], Worker]) -> None:
    """Be the process of one worker until the server says stop, or is gone.

    `build` makes the worker, once the process has found its server.
    """
    end_with_parent()
    torch.set_num_threads(1)
    with suppress(PeerLost):  # the server is gone: it has said why, or nobody is left to hear
        store = rendezvous_store(address.port, address.seconds, serves=False)
        worker = build()
        name = f"{address.worker}.{address.incarnation}"
        announce(store, name)
        worker.run(Connection(store, name, WORKER, address.seconds))
    sys.stdout.flush()


class Worker:
    """The state of one worker, which computes gradients as the server orders.

    `compute`: the model of the seconds that it sleeps for a gradient. `total`: updates of the whole
    run. `address`: which worker it is. Raises ConfigError for a method whose workers share state.
    """

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        compute: ComputeTime,
        total: int,
        address: WorkerAddress,
    ) -> None:
        self.problem, self.method, self.seeds = problem, method, seeds
        self.compute, self.total, self.worker = compute, total, address.worker
        n = problem.workers
        workers, _, self.replica = method.init(problem.x0(), n)
        self.mine = own_row(workers, self.worker, n, method.name)
        drawing = seeds
        if address.incarnation:  # it must not draw again what the lost process has drawn
            drawing = Seeds(seeds.seed("incarnation", address.incarnation))
        links = links_of(problem, method, drawing, convention)
        self.up = WireChannel(links.uplink([self.worker]))
        self.grads = problem.gradient_buffer(1)
        self.t = self.sent = 0

    def run(self, connection: Connection) -> None:
        """Answer order after order until the server says stop."""
        while True:
            order = connection.receive()
            if order.kind == FrameKind.STOP:
                connection.send(Frame(FrameKind.DONE, self.sent))
                return
            if order.kind == FrameKind.WELCOME:
                self.t = order.heard
                read_tensors(self.replica, order.body)
            else:
                self._catch_up(order.body)
            connection.send(self._next_frame(order.number))

    def step(self, update: int) -> Step:
        """The round that would be update `update`, from 1."""
        epoch = (update - 1) / (self.problem.steps_per_epoch * self.problem.workers)
        return Step(update, self.total, self.method.lr_at(epoch), epoch, self.seeds)

    def _catch_up(self, body: bytes) -> None:
        """Move the replica by the broadcasts that this worker has missed."""
        for update, data in unpack_broadcasts(body):
            vector = Message.from_bytes(data, self.problem.dim).vector(self.grads[0])
            self.method.move(self.replica, vector, self.step(update))

    def _next_frame(self, version: int) -> Frame:
        """The gradient at x after `version` updates, as a message in a frame."""
        start = time.monotonic()
        self.t += 1
        share = max(1, self.total // self.problem.workers)
        step = replace(self.step(version + 1), t=self.t, total=share)
        pause = self.compute.seconds(self.seeds, self.worker, self.t)
        self.up.open(measure=True)
        try:
            self.problem.gradients(self.replica.x, self.t, self.grads, [self.worker])
            time.sleep(pause)
            self.method.work(self.mine, self.replica, self.grads, self.up, step)
        except NonFiniteError:
            return Frame(FrameKind.DIVERGED, self.sent)
        self.sent += 1
        return Frame(
            FrameKind.MESSAGE,
            self.sent,
            paper_bits=self.up.paper_bits,
            error=self.up.compression_error(),
            start=start,
            end=time.monotonic(),
            body=self.up.data,
        )


def tensor_bytes(part: Any) -> bytes:
    """The tensors of a state dataclass as bytes, one after the other."""
    return b"".join(tensor.cpu().numpy().tobytes() for tensor in tensors_of(part).values())


def read_tensors(part: Any, data: bytes) -> None:
    """Set the tensors of a state dataclass from the bytes that `tensor_bytes` gives."""
    start = 0
    for tensor in tensors_of(part).values():
        size = tensor.numel() * tensor.element_size()
        piece = torch.frombuffer(bytearray(data[start : start + size]), dtype=tensor.dtype)
        tensor.copy_(piece.view(tensor.shape))
        start += size
