"""The graph of jobs: what a scale asks for, which rule does it, and that the style is kept."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from waiting import PATIENCE

from wiregrad.studies.papers import read_methods
from wiregrad.studies.plan import load_plan

ROOT = Path(__file__).parents[2]


def snakemake(folder, *arguments):
    """Output of a call on the suite's own configuration, in a folder without any results."""
    (folder / "config").symlink_to(ROOT / "config")
    files = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *files, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs(output):
    """Rule -> number of jobs, from the statistics of a dry run."""
    table = output.split("Job stats:")[1].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_a_scale_trains_every_group_of_its_plan_once(scale, tmp_path):
    output = snakemake(
        tmp_path, "-n", "--forceall", "--config", f"scale={scale}", "--quiet", "rules"
    )
    planned = [g for g in load_plan(scale, ROOT / "config").groups if g.skip is None]
    listed = jobs(output)
    assert sum(n for rule, n in listed.items() if rule.startswith("train_")) == len(planned)
    assert len(planned) > 20


def test_the_paper_scale_is_the_papers_grid():
    plan = load_plan("paper", ROOT / "config", papers=["comp_ams"])
    mnist = [group for group in plan.groups if group.experiment == "mnist"]
    runs = [run.config for group in mnist for run in group.runs]
    assert {run["runtime"]["workers"] for run in runs} == {16}
    assert {run["problem"]["batch"] for run in runs} == {32}
    assert {run["budget"]["epochs"] for run in runs} == {20}
    assert {run["seed"] for run in runs} == {1, 2, 3}


def test_every_label_has_a_rule_file():
    labels, _ = read_methods(ROOT / "config")
    files = {f.stem for f in (ROOT / "workflow/rules/methods").glob("*.smk")}
    assert {entry.get("rule", label) for label, entry in labels.items()} == files


def test_workflow_is_linted(tmp_path):
    assert "good condition" in snakemake(tmp_path, "--lint")


def test_workflow_is_formatted():
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_figure_needs_only_its_experiment(project):
    output = project.run("-n", "figures/tiny/fig1.svg")
    assert jobs(output) == {
        "draw_figure": 1,
        "fetch_data": 1,
        "train_comp_ams": 1,
        "train_dist_ams": 1,
        "write_methods": 1,
        "total": 5,
    }


def test_targets_exist(project):
    targets = ["figures", "tables", "claims", "report", "all", "tiny"]
    assert set(targets) <= set(jobs(project.run("-n", *targets)))


def test_skipped_experiments_have_no_jobs(project):
    skip = {"tiny": {"experiments": {"convex": {"skip": "not today"}}}}
    project.write("config/scales/tiny.yaml", {"scale": "tiny", "papers": skip})
    assert set(jobs(project.run("-n"))) == {"all", "check_claims", "total"} | {
        "write_methods",
        "write_report",
    }


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config/config.yaml", {"scael": "smoke"}, "scael"),
        ("config/scales/tiny.yaml", {"scales": "tiny"}, "unknown key 'scales'"),
        ("config/papers/tiny.yaml", {"experiment": {}}, "experiment: unknown key"),
        ("config/methods.yaml", {"top_j": {"titel": "?"}}, "methods.yaml: top_j"),
    ],
)
def test_a_misspelt_key_is_refused(project, file, change, message):
    content = yaml.safe_load((project.folder / file).read_text(encoding="utf-8"))
    project.write(file, content | change)
    assert message in project.run("-n", status=1)


def test_a_label_without_a_rule_is_named(project):
    content = yaml.safe_load((project.folder / "config/methods.yaml").read_text(encoding="utf-8"))
    content["lonely"] = {"title": "No rule", "method": {"name": "dist_ams"}}
    project.write("config/methods.yaml", content)
    output = project.run("-n", status=1)
    assert "lonely" in output
    assert "no rule" in output
