"""Digests of code: what changes them, and what does not."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wiregrad
from wiregrad.core.errors import ConfigError
from wiregrad.runs.provenance import code_sha256, method_code_sha256

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


def test_imports_and_exported_names_do_not_count(package):
    before = digest(package)
    lines = "import os\nfrom pathlib import Path\n\n__all__ = ['x']\n\nx = 1\n"
    (package / "shared.py").write_text(lines)
    assert digest(package) == before


def test_a_module_under_another_name_keeps_the_digest(package):
    before = digest(package)
    (package / "part/ink.py").rename(package / "pens.py")
    (package / "drawing.py").write_text(
        "from drawn_here import shared\nfrom drawn_here.pens import line\n"
    )
    assert digest(package) == before


METHODS = [
    {"name": "comp_ams", "compressor": {"name": "top_k", "ratio": 0.01}},
    {"name": "comp_ams", "compressor": {"name": "block_sign"}},
    {"name": "ef21", "compressor": {"name": "rand_k", "k": 1}},
]
PRINT = (
    "import json, sys; from wiregrad.runs.provenance import method_code_sha256 as of;"
    "print(json.dumps([of(m) for m in json.loads(sys.argv[1])]))"
)


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, whose digests a process of its own takes."""
    folder = tmp_path / "wiregrad"
    shutil.copytree(Path(wiregrad.__file__).parent, folder)
    return folder


def digests(copy):
    command = [sys.executable, "-c", PRINT, json.dumps(METHODS)]
    environment = {"PYTHONPATH": str(copy.parent), "PATH": ""}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def changed(copy, file, old, new):
    """Which of METHODS have other digests once `old` stands as `new` in `file`."""
    before = digests(copy)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    return [one != two for one, two in zip(before, digests(copy), strict=True)]


def test_a_changed_formula_changes_the_methods_that_use_it(copy):
    assert changed(copy, "methods/amsgrad.py", "1 - beta2", "1 - beta1") == [True, True, False]


def test_a_changed_compressor_changes_the_methods_that_are_configured_with_it(copy):
    extra = "from __future__ import annotations\nEXTRA = 1\n"
    future = "from __future__ import annotations\n"
    assert changed(copy, "compressors/top_k.py", future, extra) == [True, False, False]


def test_a_changed_kernel_changes_all_and_a_comment_in_it_none(copy):
    source = "kernels/csrc/dense.inc"
    assert changed(copy, source, "\n", "\n// A remark.\n\n") == [False, False, False]
    assert changed(copy, source, "\n", "\nstatic const int extra = 1;\n") == [True, True, True]


def test_a_renamed_module_changes_nothing(copy):
    before = digests(copy)
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text().replace("methods.comp_ams", "methods.compressed"))
    (copy / "methods/comp_ams.py").rename(copy / "methods/compressed.py")
    (copy / "compressors/top_k.py").rename(copy / "compressors/largest.py")
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text().replace("compressors.top_k ", "compressors.largest "))
    assert digests(copy) == before


def test_a_method_that_no_file_registers_is_named():
    with pytest.raises(ConfigError, match=r"no @register\('nobody'\) in wiregrad/methods/"):
        method_code_sha256({"name": "nobody"})
