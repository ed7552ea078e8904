"""The digest of a module and what it imports: what changes it, and what does not."""

from __future__ import annotations

import itertools

import pytest

from wiregrad.provenance import code_sha256

FILES = {
    "__init__": "",
    "drawing": "from drawn_here import shared\nfrom drawn_here.part.ink import line\n",
    "shared": "x = 1\n",
    "part/__init__": "",
    "part/ink": "def line():\n    from drawn_here import late\n",
    "late": "y = 1\n",
    "other": "z = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "drawn_here"
    for name, text in FILES.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def digest(folder):
    return code_sha256(folder / "drawing.py", "drawn_here")


def test_what_is_imported_all_down_counts_and_nothing_else(package):
    seen = [digest(package)]
    for name in ("drawing", "shared", "part/ink", "part/__init__"):
        with (package / f"{name}.py").open("a") as file:
            file.write("w = 2\n")
        seen.append(digest(package))
    assert all(one != two for one, two in itertools.pairwise(seen))
    for name in ("late", "other"):
        (package / f"{name}.py").write_text("w = 3\n")
        assert digest(package) == seen[-1]


def test_comments_and_docstrings_do_not_count(package):
    before = digest(package)
    (package / "shared.py").write_text('"""Said of x."""\n\nx = 1  # one\n')
    assert digest(package) == before
