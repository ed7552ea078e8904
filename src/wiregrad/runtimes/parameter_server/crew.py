"""The worker processes of a parameter server: started, heard, and started anew when lost.

A thread a process does the waiting, so that the server hears whoever speaks first. A worker has at
most one message under way, and speaks again once it has been answered: a slow server slows its
workers down.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from queue import Empty, Queue
from threading import Thread
from typing import Any

from wiregrad.runtimes.distributed.exchange import PeerLost
from wiregrad.runtimes.distributed.launcher import loopback
from wiregrad.runtimes.distributed.ranks import peer_timeout
from wiregrad.runtimes.parameter_server.pair import (
    SERVER,
    Frame,
    Kind,
    Pair,
    announced,
    meeting_place,
)
from wiregrad.runtimes.parameter_server.worker import Place, work

_THREAD_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """What a worker's thread reports. No frame: the process has joined, or is lost (`reason`)."""

    member: Member
    frame: Frame | None = None
    reason: str | None = None


@dataclass(eq=False)
class Member:
    """One process of one worker."""

    worker: int
    incarnation: int
    process: BaseProcess
    thread: Thread | None = None
    orders: Queue[Frame] = field(default_factory=Queue)
    sent: int = 0
    """Messages that it says it has sent."""
    control_bytes: int = 0

    @property
    def name(self) -> str:
        """For messages and the store."""
        return f"{self.worker}.{self.incarnation}"


class Crew:
    """All worker processes; a context manager that leaves none behind."""

    def __init__(self, config: dict[str, Any], workers: int) -> None:
        self.config = config
        self.events: Queue[Event] = Queue()
        self.members: list[Member] = []
        """Every process that was ever started."""
        self.seconds = peer_timeout()
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback())
        self._store = meeting_place(0, self.seconds, serves=True)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["wiregrad.runtimes.worker"])
        self._next = [0] * workers

    def __enter__(self) -> Crew:
        for worker in range(len(self._next)):
            self.start(worker)
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.orders.put(Frame(Kind.STOP))
            if member.process.is_alive():
                member.process.kill()
            member.process.join()
        for member in self.members:
            if member.thread is not None:
                member.thread.join(_THREAD_SECONDS)  # it may wait for a process that never joined

    def start(self, worker: int) -> None:
        """Start a process of `worker`: its first, or one that takes the place of a lost one."""
        incarnation = self._next[worker]
        self._next[worker] += 1
        place = Place(self._store.port, worker, incarnation, self.seconds)
        name = f"worker {worker}.{incarnation}"
        process = self._context.Process(target=work, args=(self.config, place), name=name)
        process.start()
        member = Member(worker, incarnation, process)
        member.thread = Thread(target=self._attend, args=(member,), name=name, daemon=True)
        self.members.append(member)
        member.thread.start()
        _log.info("%s: started, process %s", name, process.pid)

    def next_event(self) -> Event:
        """What is heard next."""
        return self.events.get()

    def dismiss(self, waiting: list[Member], busy: list[Member]) -> int:
        """End the run: stop all, and hear those who are still computing.

        Returns how many messages have come that nobody has use for. Who does not answer in time is
        ended.
        """
        heard, leaving = 0, set(waiting) | set(busy)
        for member in waiting:
            member.orders.put(Frame(Kind.STOP))
        deadline = time.monotonic() + self.seconds
        while leaving:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if event.reason is not None or (event.frame and event.frame.kind == Kind.DONE):
                leaving.discard(event.member)
            else:  # one more message, or a process that has only now joined
                heard += event.frame is not None and event.frame.kind == Kind.MESSAGE
                leaving.add(event.member)
                event.member.orders.put(Frame(Kind.STOP))
        for member in self.members:
            if member not in leaving:
                member.process.join(self.seconds)
        return heard

    def _await(self, member: Member) -> None:
        """Until a process is ready to join; raises PeerLost."""
        deadline = time.monotonic() + self.seconds
        while not announced(self._store, member.name):
            if not member.process.is_alive():
                code = member.process.exitcode
                raise PeerLost(f"worker {member.name}: ended with status {code} before it joined")
            if time.monotonic() > deadline:
                raise PeerLost(f"worker {member.name}: did not join within {self.seconds:g} s")
            time.sleep(_LOOK_SECONDS)

    def _attend(self, member: Member) -> None:
        """Pass orders to one process and report what it says, until it ends."""
        try:
            self._await(member)
            pair = Pair(self._store, member.name, SERVER, self.seconds)
            self.events.put(Event(member))
            while True:
                order = member.orders.get()
                pair.send(order)
                frame = pair.receive()
                member.sent = max(member.sent, frame.number)
                member.control_bytes = pair.control_bytes
                self.events.put(Event(member, frame))
                if frame.kind == Kind.DONE:
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear of it
            member.process.kill()  # it may only be silent
            self.events.put(Event(member, reason=str(error)))
