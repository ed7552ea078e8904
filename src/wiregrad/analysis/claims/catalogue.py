"""All checks, and the claims that a paper's configuration describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiregrad.analysis.claims import kinds
from wiregrad.analysis.claims.claim import Claim
from wiregrad.analysis.claims.spec import checks
from wiregrad.analysis.exhibit import require_experiment
from wiregrad.core.errors import ConfigError
from wiregrad.core.registry import import_all
from wiregrad.core.validation import checked

if TYPE_CHECKING:
    from wiregrad.studies.schema import Paper

__all__ = ["checks", "parse"]

import_all(kinds.__name__, kinds.__path__)


def parse(paper: Paper) -> list[Claim]:
    """The claims of a paper's configuration; ConfigError names the claim and the key."""
    where = f"config/papers/{paper.paper}: claims"
    found: list[Claim] = []
    for position, entry in enumerate(paper.claims):
        name = f"{where}.{entry.get('id', position)}"
        claim = checked(Claim, entry, name)
        experiment = claim.build(paper.paper).experiment
        require_experiment(paper, experiment, f"{name}.args.experiment")
        if any(claim.id == other.id for other in found):
            raise ConfigError(f"{where}: id {claim.id!r} is used twice")
        found.append(claim)
    return found
