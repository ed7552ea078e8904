"""All checks, and the claims that a paper's configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
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

__all__ = ["checks", "parse", "parse_all"]

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


def parse_all(papers: Mapping[str, Paper]) -> dict[str, list[Claim]]:
    """The claims of several papers by paper.

    Raises ConfigError where two papers use one id, or one name of a group of claims, which is the
    part of an id before its first hyphen.
    """
    found = {name: parse(paper) for name, paper in papers.items()}
    owners: dict[str, str] = {}
    for name, claims in found.items():
        for group in {claim.id.partition("-")[0] for claim in claims}:
            if owners.setdefault(group, name) != name:
                raise ConfigError(
                    f"config/papers/{name}: claims: {group!r} is the name of claims of "
                    f"{owners[group]}; choose another"
                )
    return found
