"""What the documents print: commands, code, and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "LIMITATIONS.md", "CHANGELOG.md")),
    ROOT / "config/README.md",
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PART = re.compile(r"`(mine/[\w.]+)`(?:(?!```).)*?^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def read(name: str) -> str:
    """The text of a document, its path given from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in this language, in order."""
    return [code for found, code in _FENCE.findall(text) if found == language]


def commands(*names: str) -> list[str]:
    """The lines of the shell blocks of these documents, without their comments."""
    lines = [
        line for name in names for block in blocks(read(name), "sh") for line in block.split("\n")
    ]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.strip()]


def parts() -> dict[str, str]:
    """Path and content of each file of a method or compressor that the documents print."""
    return dict(
        pair for name in ("README.md", "CONTRIBUTING.md") for pair in _PART.findall(read(name))
    )


def between(text: str, marker: str) -> str:
    """What stands between the comments `<!-- marker -->` and `<!-- /marker -->`."""
    return text.split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->", maxsplit=1)[0]


def links(document: Path) -> list[str]:
    """The targets of the document's links and pictures that lie in the repository."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if "://" not in target]


def anchors(document: Path) -> set[str]:
    """The anchors of the document's headings, as GitHub forms them."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
