"""Verdicts as files: CSV and JSON (all fields), Markdown (what people read)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from wiregrad.analysis.claims.judge import Judged
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.core.files import write_json, write_text


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """The verdicts as a table, one row a claim."""
    names = list(Judged.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in judged], columns=names)


def markdown(judged: Sequence[Judged], scale: str) -> str:
    """The verdict table for people, in Markdown."""
    rows = [
        {
            "claim": row.id,
            "statement": row.statement,
            "paper": row.paper_value,
            "observed, 95 % interval": row.observed + (f" ({row.detail})" if row.detail else ""),
            "seeds": row.seeds or "—",
            "budget": row.budget or "—",
            "verdict": f"**{row.verdict}**" + (f": {row.reason}" if row.reason else ""),
        }
        for row in judged
    ]
    body = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) if rows else ""
    return f"# Claims at scale {scale}\n\n{summary(judged)}\n\n{body}\n"


def summary(judged: Sequence[Judged]) -> str:
    """One line that counts the verdicts and names the claims that this scale tests."""
    counts = {v: sum(row.verdict == v for row in judged) for v in Verdict}
    tested = [row.id for row in judged if row.verdict != Verdict.NOT_TESTED]
    counted = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    named = f" Tested: {', '.join(tested)}." if tested else ""
    return f"{len(judged)} claims: {counted or 'none'}.{named}"


def write(judged: Sequence[Judged], scale: str, out: Path) -> list[Path]:
    """Write claims.csv, claims.md and claims.json under `out`, each atomically."""
    rows = [
        {
            k: (None if isinstance(v, float) and not math.isfinite(v) else v)
            for k, v in asdict(row).items()
        }
        for row in judged
    ]
    paths = [out / f"claims.{ending}" for ending in ("csv", "md", "json")]
    write_text(paths[0], table(judged).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], markdown(judged, scale))
    write_json(paths[2], {"scale": scale, "summary": summary(judged), "claims": rows})
    return paths
