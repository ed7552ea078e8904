"""Which run a folder holds: the digests that a finished run and a checkpoint must agree with."""

from __future__ import annotations

from pathlib import Path

from wiregrad.core.errors import RecordError
from wiregrad.core.files import sha256_file
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.provenance import method_code_sha256


def code_sha256(config: RunConfig) -> str:
    """Digest of the code of the run's method."""
    return method_code_sha256(config.resolved()["method"], config.plugins)


def identity(config: RunConfig) -> str:
    """Digests of configuration and code; a run resumes only from a checkpoint with the same."""
    return f"{config.sha256()}/{code_sha256(config)}"


def finished(out: Path, config: RunConfig) -> record.RunCard | None:
    """The run card in `out`; None unless that run is complete, intact and of this identity."""
    try:
        card = record.read_card(out / record.CARD)
        intact = sha256_file(out / record.HISTORY) == card.history_sha256
    except (RecordError, OSError):
        return None
    same = f"{card.config_sha256}/{card.code_sha256}" == identity(config)
    return card if intact and same else None
