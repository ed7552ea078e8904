"""Verdicts as files: CSV and JSON with all fields, Markdown with what people read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from wiregrad.analysis.claims.judge import Judged
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_json, write_text


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """The verdicts with all their fields, one row a claim."""
    names = list(Judged.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in judged], columns=names)


def texts(row: Judged) -> dict[str, str]:
    """One row of the verdict table as people read it: text by column heading."""
    return {
        "claim": row.id,
        "statement": row.statement,
        "paper": row.paper_value,
        "observed, 95 % interval": row.observed + (f" ({row.detail})" if row.detail else ""),
        "seeds": str(row.seeds or "—"),
        "budget": row.budget or "—",
        "verdict": f"**{row.reads}**" + (f": {row.reason}" if row.reason else ""),
    }


def markdown(judged: Sequence[Judged], scale: str) -> str:
    """The verdict table in Markdown."""
    rows = pd.DataFrame([texts(row) for row in judged])
    body = rows.to_markdown(index=False, disable_numparse=True) if judged else ""
    return f"# Claims at scale {scale}\n\n{summary(judged)}\n\n{body}\n"


KINDS = {"identity": "identities of bits", "bound": "bounds", "own": "claims of ours"}
"""The kinds of claims that are counted apart, and what they are called."""


def summary(judged: Sequence[Judged]) -> str:
    """One line that counts the verdicts and names the claims that this scale tests.

    Empirical claims are counted first, by whose setting they test; the other kinds apart.
    """
    counted = [_counted([row for row in judged if row.kind == "empirical"])]
    for kind, name in KINDS.items():
        some = [row for row in judged if row.kind == kind]
        if some:
            counted.append(f"{len(some)} {name}: {_counted(some)}")
    tested = [row.id for row in judged if row.verdict != Verdict.NOT_TESTED]
    named = f" Tested: {', '.join(tested)}." if tested else ""
    return f"{len(judged)} claims: {'. Apart from these, '.join(_two(counted))}.{named}"


def _two(counted: Sequence[str]) -> list[str]:
    """The count of empirical claims, and those of the other kinds joined; empty ones left out."""
    return [text for text in (counted[0] or "none", "; ".join(counted[1:])) if text]


def _counted(rows: Sequence[Judged]) -> str:
    """How many rows read which way, in the order of verdicts, the paper's setting first."""
    order = [str(verdict) for verdict in Verdict]
    sorted_rows = sorted(rows, key=lambda row: (row.setting != "paper", order.index(row.verdict)))
    decided = Counter(row.reads.partition(",")[0] for row in sorted_rows)
    open_ = {text: decided.pop(text, 0) for text in order[2:]}
    counts = {text: n for text, n in (decided | open_).items() if n}
    return ", ".join(f"{n} {text if n == 1 else _plural(text)}" for text, n in counts.items())


def _plural(text: str) -> str:
    """A reading for several claims: "hold in our setting"."""
    return text.replace("does not hold", "do not hold").replace("holds", "hold")


def write(judged: Sequence[Judged], scale: str, out: Path) -> list[Path]:
    """Write claims.csv, claims.md and claims.json under `out`, each atomically."""
    paths = [out / f"claims.{ending}" for ending in ("csv", "md", "json")]
    write_text(paths[0], table(judged).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], markdown(judged, scale))
    rows = [_with_null(row) for row in judged]
    write_json(paths[2], {"scale": scale, "summary": summary(judged), "claims": rows})
    return paths


def read(path: Path) -> list[Judged]:
    """The verdicts that `write` left in a claims.json; RecordError names the file."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return pydantic.TypeAdapter(list[Judged]).validate_python(list(map(_with_nan, rows)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: not a list of verdicts ({error!r:.200})") from None


_NUMBERS = ("effect", "low", "high", "p")


def _with_null(row: Judged) -> dict[str, Any]:
    """The fields of a row with null for a number that is not finite, as JSON has none."""
    fields = asdict(row)
    return fields | {k: fields[k] if math.isfinite(fields[k]) else None for k in _NUMBERS}


def _with_nan(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {k: math.nan if fields[k] is None else fields[k] for k in _NUMBERS}
