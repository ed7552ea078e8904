"""What figures and tables have in common: a title, a caption and the experiments they are made of.

A paper's configuration describes each of them by a mapping with a `kind`; the kinds of figures and
of tables are registered classes (`figures.kinds`, `tables.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from wiregrad.analysis.results.aggregate import Results
from wiregrad.core.errors import ConfigError
from wiregrad.core.names import hint
from wiregrad.core.registry import Registry

if TYPE_CHECKING:
    from wiregrad.studies.schema import Paper

E = TypeVar("E", bound="Exhibit")


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """Base of all figures and tables."""

    title: str
    caption: str
    experiment: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The experiments that it is made of."""
        return (self.experiment,)

    def gathered(self, results: Results, paper: str) -> Results:
        """The part of all results that it is made of."""
        return results.of(paper, *self.reads)


def parse(
    entries: Mapping[str, Mapping[str, Any]],
    kinds: Registry[E],
    paper: Paper,
    *,
    section: str,
    default: str | None = None,
) -> dict[str, E]:
    """The figures or tables that `entries` of a paper's configuration describe, by id.

    `section` is where they stand, ``figures`` or ``tables``; `default` is the kind of an entry that
    names none. Raises ConfigError that names the file, the entry and the key.
    """
    specs = {}
    for name, entry in entries.items():
        where = f"config/papers/{paper.paper}: {section}.{name}"
        specs[name] = kinds.build({"kind": default} | dict(entry), where)
        for experiment in specs[name].reads:
            require_experiment(paper, experiment, f"{where}.experiment")
    return specs


def require_experiment(paper: Paper, experiment: str, where: str) -> None:
    """Raise ConfigError, which names the key `where`, unless the paper has the experiment."""
    if experiment not in paper.experiments:
        known = hint(experiment, paper.experiments)
        raise ConfigError(f"{where}: {experiment!r} is no experiment{known}")
