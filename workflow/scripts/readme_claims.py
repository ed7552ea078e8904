"""Write the published claims into README.md: `python workflow/scripts/readme_claims.py`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

from wiregrad.core.files import write_text
from wiregrad.studies.papers import read_paper

ROOT = Path(__file__).parents[2]
CLAIMS = "results/published/cpu/claims"
UNTESTED = {"not tested at this scale", "not run"}
BLOCK = re.compile(r"<!-- claims: .*?<!-- /claims -->", flags=re.DOTALL)


def block(root: Path = ROOT) -> str:
    """Counts of verdicts by paper, and the claims that were tested, folded away by paper."""
    with (root / f"{CLAIMS}.csv").open(encoding="utf-8", newline="") as file:
        papers = [(row["paper"], row["id"], row["verdict"]) for row in csv.DictReader(file)]
    lines = (root / f"{CLAIMS}.md").read_text(encoding="utf-8").splitlines()
    head, rule, *rows = [_without_padding(line) for line in lines if line.startswith("|")]
    verdicts = sorted({v for *_, v in papers if v not in UNTESTED}, key=ORDER.index)
    counts = [f"| paper | {' | '.join(verdicts)} | not tested at this scale |"]
    counts += ["|:---|" + "---:|" * (len(verdicts) + 1)]
    folded = []
    for paper in dict.fromkeys(p for p, *_ in papers):
        mine = {name: verdict for p, name, verdict in papers if p == paper}
        each = Counter("" if v in UNTESTED else v for v in mine.values())
        title = titled(root, paper)
        numbers = " | ".join(str(each[v]) for v in [*verdicts, ""])
        counts.append(f"| {title} | {numbers} |")
        tested = {name for name, verdict in mine.items() if verdict not in UNTESTED}
        table = [row for row in rows if row.split("|")[1].strip() in tested]
        if table:
            summary = f"<details><summary>{title}: what was tested</summary>"
            folded += ["", summary, "", head, rule, *table, "", "</details>"]
    body = "\n".join([*counts, *folded])
    return f"<!-- claims: {CLAIMS}.md -->\n{body}\n<!-- /claims -->"


ORDER = ("reproduced", "not reproduced", "inconclusive")


def titled(root: Path, paper: str) -> str:
    """Title of a paper, and its arXiv number if it has one."""
    spec, _ = read_paper(root / "config", paper)
    number = spec["arxiv"]
    return str(spec["title"]) + (f" ({number})" if number != "none" else "")


def _without_padding(row: str) -> str:
    return re.sub(r"-{4,}", "---", re.sub(r" {2,}", " ", row))


def main() -> None:
    """Replace the block of README.md."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    write_text(readme, BLOCK.sub(lambda _: block(), text))


if __name__ == "__main__":
    main()
