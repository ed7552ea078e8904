"""The documents are true: commands and code run as printed, links and pictures exist."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import documents
import pytest
import torch
import yaml

from wiregrad import compressors, data, methods
from wiregrad.analysis.claims.catalogue import parse_all
from wiregrad.analysis.claims.render import read
from wiregrad.analysis.results.statistics import Verdict
from wiregrad.core.errors import DataUnavailable
from wiregrad.runs import record
from wiregrad.studies.plan import load_plan

ROOT = documents.ROOT
README = documents.read("README.md")
BIN = Path(sys.executable).parent

ELSEWHERE = {
    "make figures": "tests/workflow/test_make.py",
    "make test": ".ci/run",
    "make figures TARGETS=figures/comp_ams/fig1_mnist.svg": "tests/workflow/test_make.py",
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
    ".venv/bin/wiregrad data list": (),
    '.venv/bin/wiregrad data fetch "phishing|a9a"': (),
    ".venv/bin/wiregrad schema run": (),
    ".venv/bin/wiregrad plan --scale cpu": (),
    ".venv/bin/wiregrad cost --scale cpu": (),
    ".venv/bin/wiregrad run examples/phishing.yaml --out results/phishing --processes 2": (
        "--out",
        "{tmp}/phishing",
    ),
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


def test_every_command_is_run_by_some_test():
    printed = documents.commands("README.md", "docs/running.md")
    assert set(printed) == ELSEWHERE.keys() | HERE.keys()
    named = [where.split(" ")[0] for where in ELSEWHERE.values() if "/" in where]
    assert all((ROOT / where).exists() for where in named)


@pytest.mark.parametrize("command", HERE)
def test_a_command_runs_as_it_stands(command, tmp_path):
    if "examples/" in command:
        needs_data_of(re.search(r"examples/\S+", command)[0])
    elif "phishing|a9a" in command:
        needs("phishing|a9a")
    (tmp_path / "config").symlink_to(ROOT / "config")  # where there are no results yet
    words = [word.replace(".venv/bin/", f"{BIN}/") for word in shlex.split(command)]
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
    needs(name)


def needs(name):
    try:
        data.load(name)
    except DataUnavailable as error:
        pytest.skip(str(error))


def test_the_readme_fits_on_a_few_screens():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(document):
    for link in documents.links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in documents.anchors(target), link


def test_pictures_and_files_exist():
    texts = {"README.md": README, "docs/figures.md": documents.read("docs/figures.md")}
    found = {name: re.findall(r"!\[[^]]*\]\(([^)]+)\)", text) for name, text in texts.items()}
    pictures = [(ROOT / name).parent / each for name, some in found.items() for each in some]
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
    findings = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    assert script["verdicts"]() in findings


def test_no_published_claim_fails_by_a_few_seeds():
    """Nothing random is "not reproduced" by fewer than five seeds."""
    plan = load_plan("cpu", ROOT / "config", results=ROOT / "results/published")
    random = {
        claim.id
        for claims in parse_all(plan.papers).values()
        for claim in claims
        if claim.statistical and claim.seeds != "deterministic"
    }
    published = read(ROOT / "results/published/cpu/claims.json")
    assert len(published) > 100
    for row in published:
        if row.verdict == Verdict.NOT_REPRODUCED and row.id in random:
            assert row.seeds >= 5, row.id


def test_the_page_of_claims_has_every_published_verdict():
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    published = (ROOT / "results/published/cpu/claims.md").read_text(encoding="utf-8")
    rows = [re.sub(r" {2,}", " ", row) for row in published.splitlines() if row.startswith("| ")]
    tested = [row for row in rows if "**not tested at this scale**" not in row]
    assert len(tested) > 50
    assert set(tested) <= set(page.splitlines())
    others = [row.split(" | ")[0].removeprefix("| ") for row in rows if row not in tested]
    assert all(f"\n- {name}: " in page for name in others)


def test_the_lists_name_every_method_and_compressor():
    for kind, registry in (("methods", methods.registry), ("compressors", compressors.registry)):
        own = [n for n in registry if registry[n].__module__.startswith(f"wiregrad.{kind}.")]
        assert sorted(re.findall(r"`(\w+)`", documents.between(README, kind))) == own


def test_codecs_from_128_on_are_left_to_compressors_outside_the_package():
    families = [compressors.registry[name] for name in compressors.registry]
    own = [each.codec for each in families if each.__module__.startswith("wiregrad.compressors.")]
    assert max(own) < 128


def test_every_paper_has_its_command_and_its_figure(tmp_path):
    rows = re.findall(
        r"^\|.*`(make figures SCALE=cpu TARGETS=(\w+))` \| .*\((\S+)\) \|$", README, re.MULTILINE
    )
    papers = {path.stem for path in (ROOT / "config/papers").iterdir()}
    assert sorted(paper for _, paper, _ in rows) == sorted(papers)
    assert all(figure.startswith(f"figures/published/cpu/{paper}/") for _, paper, figure in rows)
    (tmp_path / "config").symlink_to(ROOT / "config")  # where there are no results yet
    command = [BIN / "snakemake", "-n", "--directory", tmp_path, "--quiet", "all"]
    command += ["--config", "scale=cpu", "--"]
    done = subprocess.run(
        [*command, *papers], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def mine(tmp_path):
    """A folder with the files of methods and compressors that the documents print."""
    for name, code in documents.parts().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path / "mine"


def test_the_method_of_the_readme_runs(mine, tmp_path):
    needs("a1a|a9a")
    config = {
        "problem": {"name": "logistic", "data": "a1a|a9a"},
        "method": {"name": "sign_sgd", "lr": 0.1, "compressor": "scaled_sign"},
        "runtime": {"workers": 4},
        "budget": {"steps": 20},
        "seed": 0,
        "plugins": [str(mine / "sign_sgd.py")],
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    command = [BIN / "wiregrad", "run", tmp_path / "run.yaml", "--out", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True)
    rows = record.read_history(tmp_path / "out" / record.HISTORY).to_pylist()
    assert rows[-1]["loss_train"] < rows[0]["loss_train"]
    per_round = rows[1]["uplink_bits_wire"]
    assert 123 <= per_round < 400  # a bit an element, a scale and a header


def outside():
    """The commands that test what lies outside the package."""
    return [c for c in documents.commands("CONTRIBUTING.md") if c.startswith("PYTHONPATH=mine ")]


def test_method_and_compressor_from_outside_each_have_their_command():
    plugins = [re.search(r"-p (\w+)", command)[1] for command in outside()]
    assert plugins == ["sign_sgd", "int8"]


@pytest.mark.parametrize("command", outside())
def test_a_part_from_outside_passes_the_tests_of_all(mine, command):
    words = command.replace(".venv/bin/", f"{BIN}/").split()[1:]
    path = os.pathsep.join(filter(None, [str(mine), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [*words, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


def own_training():
    """The printed scripts: the optimiser, and the hook of DistributedDataParallel."""
    code = [block for block in documents.blocks(README, "python") if "wiregrad.optim" in block]
    hook = [block for block in documents.blocks(README, "python") if "wiregrad.ddp" in block]
    return code[0], hook[0]


def test_the_training_loop_of_the_readme_trains(capsys):
    code, _ = own_training()
    assert "range(200)" in code

    def loss(script):
        torch.manual_seed(0)
        names = {}
        exec(script, names)  # noqa: S102 - it is ours
        with torch.no_grad():
            logits = names["model"](names["inputs"])
            return float(torch.nn.functional.cross_entropy(logits, names["targets"]))

    before = loss(code.replace("range(200)", "range(0)"))
    capsys.readouterr()
    assert loss(code) < before - 0.1
    assert "uplink_bits_wire=" in capsys.readouterr().out


def test_the_hook_of_the_readme_runs_in_two_processes(tmp_path):
    _, hook = own_training()
    (tmp_path / "hook.py").write_text(hook, encoding="utf-8")
    # A file for each rank: two that print at once can do so on one line.
    logs = ["--redirects", "1", "--log-dir", tmp_path / "logs"]
    command = [BIN / "torchrun", "--nproc-per-node", "2", *logs, tmp_path / "hook.py"]
    environment = os.environ | {"PET_STANDALONE": "1"}  # it looks for a free port, not for 29500
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sent = [int(file.read_text()) for file in (tmp_path / "logs").rglob("stdout.log")]
    assert len(sent) == 2
    assert all(0 < bits < 200 * 410 * 32 / 10 for bits in sent)


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


def test_every_module_that_a_page_names_exists():
    package = ROOT / "src/wiregrad"
    for page in (ROOT / "docs").glob("*.md"):
        named = re.findall(r"`([\w./]+/[\w./]*)`", page.read_text(encoding="utf-8"))
        missing = {n for n in named if not ((package / n).exists() or (ROOT / n).exists())}
        assert missing - {"results/"} == set(), page


def test_modules_have_moved_to_where_the_changelog_says():
    rows = documents.between(documents.read("CHANGELOG.md"), "moves").splitlines()
    now = [
        re.findall(r"`([\w.]+)`", row)[1]
        for row in rows
        if row.startswith("| `") and "…" not in row
    ]
    places = [ROOT / "src/wiregrad" / Path(*name.split(".")) for name in now]
    assert len(places) > 20
    assert [p for p in places if not (p.is_dir() or p.with_suffix(".py").exists())] == []
