"""What a start imports, maps and says. Told by modules and pages, not by the clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pandas", "numpy", "scipy", "pyarrow", "pydantic", "yaml", "rich", "matplotlib"}
REPORT = "import json, sys; print(json.dumps(sorted(sys.modules)))"
MAIN = (
    "import sys; from wiregrad.cli import main; sys.argv = {argv!r}\n"
    "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
)


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def called(*argv):
    """The lines of `wiregrad argv`, and every module that it had imported at its end."""
    *lines, modules = python(MAIN.format(argv=["wiregrad", *argv]) + REPORT)
    return lines, set(json.loads(modules))


def commands():
    from typer.main import get_command

    from wiregrad.cli import app, mount

    if not app.registered_commands:
        mount.all_commands(app)
    found = {}
    for name, command in get_command(app).commands.items():
        found |= {(name,): command}
        found |= {(name, sub): c for sub, c in getattr(command, "commands", {}).items()}
    return found


def test_root_help_imports_nothing_heavy_and_lists_every_command():
    lines, modules = called("--help")
    assert modules & HEAVY == set()
    page = " ".join(" ".join(lines).split())
    for path, command in commands().items():
        if len(path) == 1:
            assert f"{path[0]} {command.get_short_help_str(1000)}" in page


def test_help_of_every_command_imports_nothing_heavy():
    # One process for all, in the order of the page: the first that imports something is named.
    heavy = HEAVY - {"pydantic"}  # typer reads the commands' own parameters with it
    code = "import sys\nfrom wiregrad.cli import app, mount\nmount.all_commands(app)\n"
    for path in commands():
        code += (
            f"sys.argv = ['wiregrad', *{path!r}, '--help']\n"
            "try:\n    app()\nexcept SystemExit as done:\n    assert not done.code\n"
            f"assert not {heavy!r} & set(sys.modules), ({path!r}, {heavy!r} & set(sys.modules))\n"
        )
    python(code)


def test_a_plan_is_read_without_torch_and_a_version_when_asked():
    code = "import wiregrad.runs.record\n"
    code += "from wiregrad.studies.plan import load_plan; load_plan('smoke')\n"
    modules = set(json.loads(python(code + REPORT)[-1]))
    assert modules & {"torch", "pandas", "scipy", "matplotlib", "rich"} == set()
    assert python("import wiregrad; print(wiregrad.__version__)")[0][0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'versions'"):
        __import__("wiregrad").versions  # noqa: B018


def test_a_training_job_imports_nothing_that_it_does_not_use(tmp_path, monkeypatch):
    import numpy as np

    for name, text in CONFIG.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rows = {"train": 40, "test": 20}
    arrays = {f"{s}_images": np.ones((n, 28, 28), dtype=np.uint8) for s, n in rows.items()}
    arrays |= {f"{s}_labels": np.zeros(n, dtype=np.int64) for s, n in rows.items()}
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))
    monkeypatch.setenv("WIREGRAD_CATALOGUE", str(tmp_path / "config/catalogue.yaml"))
    store("tiny", arrays)
    lines, modules = called(
        "train", "--scale", "smoke", "--paper", "p", "--experiment", "e", "--label", "sgd",
        "--config-dir", str(tmp_path / "config"), "--results", str(tmp_path / "results"),
        "--device", "cpu",
    )  # fmt: skip
    assert "completed, 2 rounds" in lines[-1]
    unused = {"pandas", "scipy", "matplotlib", "seaborn", "torchvision", "datasets", "requests"}
    assert modules & (unused | {"rich", "snakemake", "pyarrow.dataset"}) == set()


def store(name, arrays):
    from wiregrad.data import prepared

    prepared.store(name, arrays, "a test")


CONFIG = {
    "methods.yaml": "sgd: {title: SGD, method: {name: dist_sgd}}\n",
    "scales/smoke.yaml": "scale: smoke\n",
    "papers/p.yaml": """
paper: p
title: A paper
arxiv: "0000.00000"
convention: formula
experiments:
  e:
    title: An experiment
    problem: {name: mnist_cnn, data: tiny, batch: 4}
    runtime: {name: simulated, workers: 2}
    budget: {steps: 2}
    methods: [sgd]
    lr: {default: 0.1}
    seeds: [1]
""",
    "catalogue.yaml": """
sets:
  tiny:
    family: mnist
    title: Made by a test
    licence: none
    cite: nobody
    bytes: 1
    digest: null
    sources: [{kind: mirror, format: mnist-idx, files: {train_images: a}}]
""",
}

MAPPED = """
import json, sys, torch
from pathlib import Path
from wiregrad.data import prepared
tensors = prepared.read("big", None).tensors
pages, found = {}, False
for line in Path("/proc/self/smaps").read_text().splitlines():
    first = line.split()[0]
    if not first.endswith(":"):
        found = line.endswith("big.safetensors")
    elif found and line.endswith(" kB"):
        pages[first[:-1]] = pages.get(first[:-1], 0) + int(line.split()[1])
print(json.dumps([pages, int(tensors["train_images"].sum()), str(tensors["train_images"].dtype)]))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads /proc/self/smaps")
def test_prepared_tensors_are_pages_of_the_file_and_no_copies(tmp_path, monkeypatch):
    import numpy as np

    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))
    pixels = np.full((4000, 28, 28), 3, dtype=np.uint8)
    store("big", {"train_images": pixels, "train_labels": np.arange(4000)})
    pages, total, dtype = json.loads(python(MAPPED)[-1])
    assert (total, dtype) == (3 * pixels.size, "torch.uint8")
    assert pages["Size"] * 1024 >= pixels.size  # not Rss: the kernel may take pages back
    assert pages["Private_Dirty"] == pages["Anonymous"] == 0
