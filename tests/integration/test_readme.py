"""The README is true: its commands run, its pictures exist, its claims are the published ones."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from wiregrad import data
from wiregrad.core.errors import DataUnavailable
from wiregrad.runs import record

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

ELSEWHERE = {
    "make figures": "tests/workflow/test_make.py",
    "make test": ".ci/run",
    "make figures TARGETS=figures/comp_ams/fig1_mnist.svg": "tests/workflow/test_make.py",
    "make figures TARGETS=comp_ams": "tests/workflow/test_make.py",
    "make figures SCALE=paper": "tests/workflow/test_graph.py (dry: it takes a GPU)",
    ".venv/bin/snakemake --workflow-profile workflow/profiles/slurm --config scale=paper": (
        "nowhere: it takes a cluster"
    ),
    ".venv/bin/wiregrad preflight --scale paper --jobs 2": (
        "test_preflight_of_the_paper_scale, in parts"
    ),
}
"""Commands that other tests run, and where."""

HERE = {
    ".venv/bin/wiregrad figure comp_ams fig1_mnist --scale cpu --results results/published": (
        "--out",
        "{tmp}/figures",
    ),
    ".venv/bin/wiregrad run examples/phishing.yaml --out results/phishing --set method.lr=0.02": (
        "--out",
        "{tmp}/phishing",
    ),
    ".venv/bin/wiregrad launch -n 4 examples/mnist_distributed.yaml --out results/mnist4": (
        "--out",
        "{tmp}/mnist4",
        "--set",
        "budget.steps=4",
    ),
    ".venv/bin/snakemake -n --config scale=paper": ("--directory", "{tmp}", "--quiet", "all"),
    ".venv/bin/python examples/own_training.py": ("--epochs", "1", "--samples", "640"),
    ".venv/bin/torchrun --nproc-per-node 2 examples/own_training.py --method cd_adam": (
        "--epochs",
        "1",
        "--samples",
        "640",
    ),
}
"""Commands that this test runs as they stand, and what it adds (the last --out counts)."""


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def test_every_command_is_run_by_some_test():
    assert set(commands()) == ELSEWHERE.keys() | HERE.keys()
    named = [where.split(" ")[0] for where in ELSEWHERE.values() if "/" in where]
    assert all((ROOT / where).exists() for where in named)


@pytest.mark.parametrize("command", HERE)
def test_a_command_runs_as_it_stands(command, tmp_path):
    if "examples/" in command:
        needs_data_of(re.search(r"examples/\S+", command)[0])
    (tmp_path / "config").symlink_to(ROOT / "config")  # where there are no results yet
    words = [word.replace(".venv/bin/", f"{BIN}/") for word in command.split()]
    words += [word.format(tmp=tmp_path) for word in HERE[command]]
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment["PET_STANDALONE"] = "1"  # torchrun looks for a free port, not for 29500
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def needs_data_of(example):
    text = (ROOT / example).read_text()
    if example.endswith(".py"):
        name = re.search(r'data\.load\("([^"]+)"\)', text)[1]
    else:
        name = yaml.safe_load(text)["problem"]["data"]
    try:
        data.load(name)
    except DataUnavailable as error:
        pytest.skip(str(error))


def test_pictures_and_files_exist():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert len(pictures) >= 4
    files = re.findall(r"`((?:config|results/published|figures|examples)/[\w./]+)`", README)
    missing = [name for name in [*pictures, *files] if not (ROOT / name).exists()]
    assert missing == []


def test_the_claims_are_the_published_ones():
    script = runpy.run_path(str(ROOT / "workflow/scripts/readme_claims.py"))
    page = script["page"]()
    assert page.count("**reproduced**") > 3
    assert page == (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert script["block"]() in README
    assert "(docs/claims.md)" in README


def test_the_page_of_claims_has_every_published_verdict():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    published = (ROOT / "results/published/cpu/claims.md").read_text(encoding="utf-8")
    rows = [re.sub(r" {2,}", " ", row) for row in published.splitlines() if row.startswith("| ")]
    tested = [row for row in rows if "**not tested at this scale**" not in row]
    assert len(tested) > 50
    assert set(tested) <= set(page.splitlines())
    others = [row.split(" | ")[0].removeprefix("| ") for row in rows if row not in tested]
    assert all(f"\n- {name}: " in page for name in others)


def test_the_method_of_the_readme_runs(tmp_path):
    try:
        data.load("a1a|a9a")
    except DataUnavailable as error:
        pytest.skip(str(error))
    code = re.search(r"```python\n(@register.*?)```", README, flags=re.DOTALL)
    assert code is not None
    imports = (
        "from dataclasses import dataclass\n"
        "from wiregrad.compressors import Compressor\n"
        "from wiregrad.compressors.sign import ScaledSign\n"
        "from wiregrad.methods import Method, State, register\n"
        "from wiregrad.methods.base import Empty, Replica\n"
    )
    (tmp_path / "sign_sgd.py").write_text(imports + code[1])
    config = {
        "problem": {"name": "logistic", "data": "a1a|a9a"},
        "method": {"name": "sign_sgd", "lr": 0.1},
        "runtime": {"workers": 4},
        "budget": {"steps": 20},
        "seed": 0,
        "plugins": [str(tmp_path / "sign_sgd.py")],
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    command = [BIN / "wiregrad", "run", tmp_path / "run.yaml", "--out", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True)
    rows = record.read_history(tmp_path / "out" / record.HISTORY).to_pylist()
    assert rows[-1]["loss_train"] < rows[0]["loss_train"]
    per_round = rows[1]["uplink_bits_wire"]
    assert 123 <= per_round < 400  # a bit an element, a scale and a header


def test_the_training_loop_of_the_readme_trains(capsys):
    code = re.search(r"```python\n(from wiregrad.optim.*?)```", README, flags=re.DOTALL)[1]
    torch.manual_seed(0)
    model, loss_fn = torch.nn.Linear(40, 10), torch.nn.CrossEntropyLoss()
    inputs = torch.randn(64, 40)
    targets = inputs[:, :10].argmax(1)
    with torch.no_grad():
        before = float(loss_fn(model(inputs), targets))
    loader = [(inputs, targets)] * 300
    exec(code, {"model": model, "loader": loader, "loss_fn": loss_fn})  # noqa: S102 - it is ours
    with torch.no_grad():
        assert float(loss_fn(model(inputs), targets)) < before - 0.1
    assert "uplink_bits_wire=" in capsys.readouterr().out


def test_preflight_of_the_paper_scale():
    """The convex and the smaller deep shapes, and some that are swept; the others take minutes."""
    command = [BIN / "wiregrad", "preflight", "--scale", "paper", "--jobs", "2"]
    experiments = ("convex", "cifar_lenet5", "quadratic_n10")
    chosen = [word for name in experiments for word in ("--experiment", name)]
    done = subprocess.run(
        [*command, *chosen], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    states = {line.split()[0] for line in done.stdout.splitlines()[:-1]}
    assert states <= {"ok", "no"}
