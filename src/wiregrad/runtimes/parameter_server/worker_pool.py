"""The worker processes of a parameter server: starting, hearing, and replacing them.

A thread for each process waits for its frames, so that the server hears the first to arrive. A
worker has at most one message under way and computes the next one when it has been answered, so
that a slow server slows its workers down.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from queue import Empty, Queue
from threading import Thread

from wiregrad.runtimes.distributed.exchange import PeerLost
from wiregrad.runtimes.distributed.launcher import loopback
from wiregrad.runtimes.distributed.ranks import peer_timeout
from wiregrad.runtimes.parameter_server.connection import (
    SERVER,
    Connection,
    Frame,
    FrameKind,
    is_announced,
    rendezvous_store,
)
from wiregrad.runtimes.parameter_server.worker import WorkerAddress

_THREAD_SECONDS = 5.0
_POLL_SECONDS = 0.02
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """What the thread of a worker process reports."""

    process: WorkerProcess
    frame: Frame | None = None
    """None: the process has joined, or is lost."""
    reason: str | None = None
    """Why it is lost."""


@dataclass(eq=False)
class WorkerProcess:
    """One process of one worker."""

    worker: int
    incarnation: int
    """How many processes this worker had before."""
    handle: BaseProcess
    thread: Thread | None = None
    orders: Queue[Frame] = field(default_factory=Queue)
    sent: int = 0
    """Messages that it has sent, as it says itself."""
    control_bytes: int = 0

    @property
    def name(self) -> str:
        """Of the process in error messages and in the rendezvous store."""
        return f"{self.worker}.{self.incarnation}"


class WorkerPool:
    """The worker processes; a context manager that starts them and leaves none behind.

    `command`: what a process runs, given the address of its server; it is pickled by reference, so
    it must be a function of a module, or a `functools.partial` of one. `preload`: modules that all
    processes share from the start, so that each starts fast. `workers`: n.
    """

    def __init__(
        self, command: Callable[[WorkerAddress], None], workers: int, preload: Sequence[str] = ()
    ) -> None:
        self.command = command
        self.events: Queue[Event] = Queue()
        self.processes: list[WorkerProcess] = []
        """All that were ever started, also those that are lost."""
        self.seconds = peer_timeout()
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())
        self._store = rendezvous_store(0, self.seconds, serves=True)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._incarnations = [0] * workers

    def __enter__(self) -> WorkerPool:
        for worker in range(len(self._incarnations)):
            self.start(worker)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.orders.put(Frame(FrameKind.STOP))
            if process.handle.is_alive():
                process.handle.kill()
            process.handle.join()
        for process in self.processes:
            if process.thread is not None:
                process.thread.join(_THREAD_SECONDS)  # it may wait for a process that never joined

    def start(self, worker: int) -> None:
        """Start a process of `worker`: its first one, or one in place of a lost one."""
        incarnation = self._incarnations[worker]
        self._incarnations[worker] += 1
        address = WorkerAddress(self._store.port, worker, incarnation, self.seconds)
        name = f"worker {worker}.{incarnation}"
        handle = self._context.Process(target=self.command, args=(address,), name=name)
        handle.start()
        process = WorkerProcess(worker, incarnation, handle)
        process.thread = Thread(target=self._attend, args=(process,), name=name, daemon=True)
        self.processes.append(process)
        process.thread.start()
        _log.info("%s: started, process %s", name, handle.pid)

    def next_event(self) -> Event:
        """The next event; waits for it."""
        return self.events.get()

    def stop(self, waiting: list[WorkerProcess], busy: list[WorkerProcess]) -> int:
        """End the run: stop the waiting processes, and the busy ones after their next message.

        Returns how many messages have still arrived, which are not used. A process that does not
        answer in time is killed when the pool is left.
        """
        heard, leaving = 0, set(waiting) | set(busy)
        for process in waiting:
            process.orders.put(Frame(FrameKind.STOP))
        deadline = time.monotonic() + self.seconds
        while leaving:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if event.reason is not None or (event.frame and event.frame.kind == FrameKind.DONE):
                leaving.discard(event.process)
            else:  # one more message, or a process that has only now joined
                heard += event.frame is not None and event.frame.kind == FrameKind.MESSAGE
                leaving.add(event.process)
                event.process.orders.put(Frame(FrameKind.STOP))
        for process in self.processes:
            if process not in leaving:
                process.handle.join(self.seconds)
        return heard

    def _await_announcement(self, process: WorkerProcess) -> None:
        """Wait until a process is ready to connect; raises PeerLost."""
        deadline = time.monotonic() + self.seconds
        while not is_announced(self._store, process.name):
            if not process.handle.is_alive():
                code = process.handle.exitcode
                raise PeerLost(f"worker {process.name}: ended with status {code} before it joined")
            if time.monotonic() > deadline:
                raise PeerLost(f"worker {process.name}: did not join within {self.seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def _attend(self, process: WorkerProcess) -> None:
        """Pass orders to one process and report its frames, until it ends."""
        try:
            self._await_announcement(process)
            connection = Connection(self._store, process.name, SERVER, self.seconds)
            self.events.put(Event(process))
            while True:
                order = process.orders.get()
                connection.send(order)
                frame = connection.receive()
                process.sent = max(process.sent, frame.number)
                process.control_bytes = connection.control_bytes
                self.events.put(Event(process, frame))
                if frame.kind == FrameKind.DONE:
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear of it
            process.handle.kill()  # it may only be silent
            self.events.put(Event(process, reason=str(error)))
