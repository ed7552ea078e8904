"""Write the published verdicts into README.md, docs/claims.md and docs/findings.md.

`python workflow/scripts/readme_claims.py`, after `wiregrad publish --scale cpu`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from wiregrad.analysis.claims.judge import READINGS, Judged
from wiregrad.analysis.claims.render import KINDS, read, texts
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.core.files import write_text
from wiregrad.studies.plan import load_plan
from wiregrad.studies.schema import Paper

ROOT = Path(__file__).parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs/claims.md"
FINDINGS = ROOT / "docs/findings.md"
CLAIMS = "results/published/cpu/claims"
BLOCK = re.compile(r"<!-- claims: .*?<!-- /claims -->", flags=re.DOTALL)
VERDICTS = re.compile(r"<!-- verdicts: .*?<!-- /verdicts -->", flags=re.DOTALL)
DECIDED = "new seeds, or another setting"
"""What would change a verdict that was reached."""
COLUMNS: tuple[tuple[Verdict, str], ...] = (
    (Verdict.REPRODUCED, "paper"),
    (Verdict.NOT_REPRODUCED, "paper"),
    (Verdict.REPRODUCED, "ours"),
    (Verdict.NOT_REPRODUCED, "ours"),
    (Verdict.INCONCLUSIVE, ""),
    (Verdict.UNSETTLED, ""),
    (Verdict.NOT_TESTED, ""),
)
"""The columns of the README's table: a verdict and whose setting it is about, "" for either."""
HEAD = f"""# Claims

<!-- Written by workflow/scripts/readme_claims.py: do not edit. -->

What the papers claim, and what was observed here at scale `cpu`. The same verdicts with all their
fields: [claims.csv](../{CLAIMS}.csv), [claims.json](../{CLAIMS}.json).

- *paper* is what the paper says. *Observed* is the effect with its 95 % interval over seeds, and in
  brackets the numbers behind it. Differences are paired by seed. An effect without an interval is
  an exact count, or comes from one seed.
- **reproduced**: the whole interval satisfies the claim, in the paper's setting.
- **not reproduced**: the whole interval contradicts it. In a setting that is ours, recalled or made
  up, these verdicts read **holds in our setting** and **does not hold in our setting**.
- **inconclusive**: neither, for the reason that is given, for example too few seeds.
- **tuning not settled**: the best rate of a compared method is at the edge of its grid, or it was
  not tuned.
- A claim is not tested where its runs were not made, or had a smaller budget than it asks for.
- Identities of bits, bounds and claims of this suite are counted apart from what a paper observed.
- [preregistration.md](preregistration.md) has the rules and every change of them,
  [findings.md](findings.md) what did not come out as claimed, and why we think so.

"""


def block(root: Path = ROOT) -> str:
    """The block of README.md: how many claims of each paper got which verdict."""
    heads = [_heading(verdict, setting) for verdict, setting in COLUMNS]
    lines = [_row(["paper", *heads, *KINDS.values()])]
    lines.append("|:---|" + "---:|" * (len(COLUMNS) + len(KINDS)))
    for title, rows in _by_title(root).items():
        empirical = [row for row in rows if row.kind == "empirical"]
        counts = [str(_count(empirical, *column)) for column in COLUMNS]
        apart = [_held([row for row in rows if row.kind == kind]) for kind in KINDS]
        lines.append(_row([title, *counts, *apart]))
    body = "\n".join(lines)
    return f"<!-- claims: {CLAIMS}.md -->\n{body}\n<!-- /claims -->"


def _heading(verdict: Verdict, setting: str) -> str:
    """The heading of a column: the verdict as it reads."""
    return READINGS.get(verdict, str(verdict)) if setting == "ours" else str(verdict)


def _count(rows: Sequence[Judged], verdict: Verdict, setting: str) -> int:
    """The number of rows with a verdict, about one setting if it is given."""
    return sum(row.verdict == verdict and setting in {"", row.setting} for row in rows)


def _held(rows: Sequence[Judged]) -> str:
    """How many of the rows hold, e.g. "5 of 6"; a dash where there are none."""
    held = sum(row.verdict == Verdict.REPRODUCED for row in rows)
    return f"{held} of {len(rows)}" if rows else "—"


def verdicts(root: Path = ROOT) -> str:
    """The table of docs/findings.md: paper, claims, verdict, what would change it.

    Claims of one paper that have the same verdict for the same reason share a row.
    """
    lines = [_row(["paper", "claims", "verdict", "what would change it"]), "|:---|:---|:---|:---|"]
    for rows in _by_title(root).values():
        alike: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            alike.setdefault((row.reads, row.reason or DECIDED), []).append(row.id)
        for (reads, reason), ids in alike.items():
            lines.append(_row([f"`{rows[0].paper}`", ", ".join(ids), reads, reason]))
    body = "\n".join(lines)
    return (
        "<!-- verdicts: written by workflow/scripts/readme_claims.py -->\n"
        f"{body}\n<!-- /verdicts -->"
    )


def page(root: Path = ROOT) -> str:
    """The text of docs/claims.md: every claim that was tested, and why the others were not."""
    return HEAD + "\n".join(_section(title, rows) for title, rows in _by_title(root).items())


def _by_title(root: Path) -> dict[str, list[Judged]]:
    """The published verdicts by the title of their paper, in the order of the papers."""
    papers = load_plan("cpu", root / "config").papers
    found: dict[str, list[Judged]] = {}
    for row in read(root / f"{CLAIMS}.json"):
        found.setdefault(_titled(papers[row.paper]), []).append(row)
    return found


def _titled(paper: Paper) -> str:
    """Title of a paper, and its arXiv number if it has one."""
    return paper.title + (f" ({paper.arxiv})" if paper.arxiv != "none" else "")


def _section(title: str, rows: Sequence[Judged]) -> str:
    """A paper's claims: a table of those that were tested, and a list of the others."""
    tested = [texts(row) for row in rows if row.verdict != Verdict.NOT_TESTED]
    others = [row for row in rows if row.verdict == Verdict.NOT_TESTED]
    lines = [f"## {title}", ""]
    if tested:
        lines += [_row(tested[0]), _row([":---"] * len(tested[0]))]
        lines += [*(_row(row.values()) for row in tested), ""]
    if others:
        lines += [f"<details><summary>Not tested at this scale: {len(others)}</summary>", ""]
        lines += [f"- {row.id}: {row.statement} *{row.reason}*" for row in others]
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    escaped = (str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def main() -> None:
    """Replace the block of README.md, docs/claims.md, and the table of docs/findings.md."""
    text = README.read_text(encoding="utf-8")
    write_text(README, BLOCK.sub(lambda _: block(), text))
    write_text(PAGE, page())
    text = FINDINGS.read_text(encoding="utf-8")
    write_text(FINDINGS, VERDICTS.sub(lambda _: verdicts(), text))


if __name__ == "__main__":
    main()
