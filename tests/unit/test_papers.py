"""Every paper of config/ at every scale: valid runs, and names that exist; and the JSON Schemas."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from wiregrad.analysis.claims import catalogue as claims
from wiregrad.analysis.figures import catalogue as figures
from wiregrad.analysis.tables import catalogue as tables
from wiregrad.core.validation import read_yaml
from wiregrad.methods import registry as methods
from wiregrad.runs.config import RunConfig
from wiregrad.studies import json_schemas
from wiregrad.studies.papers import paper_names, read_methods
from wiregrad.studies.plan import load_plan
from wiregrad.studies.run_configs import TUNED, asked_of_theory

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
VARIABLE = re.compile(r"WIREGRAD_[A-Z]+(?:_[A-Z]+)*")
PAPERS = paper_names(CONFIG)
ONLY_AT_CPU = {"A1-block-sign-scripts"}  # its label is no part of the paper's own grid
SCHEMAS = {
    "paper": sorted(CONFIG.glob("papers/**/*.yaml")),
    "scale": sorted(CONFIG.glob("scales/*.yaml")),
    "methods": [CONFIG / "methods.yaml"],
}


@cache
def loaded(scale):
    return load_plan(scale, CONFIG)


def labels_of(plan, paper):
    found = {name: set() for name in plan.papers[paper].experiments}
    for group in plan.groups:
        if group.paper == paper:
            found[group.experiment].add(group.label)
    return found


@pytest.fixture(scope="module", params=["smoke", "cpu", "paper"])
def plan(request):
    return loaded(request.param)


@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_every_tuning_goes_to_the_interior_by_fair_trials(scale):
    """Grids grow within one cap for all labels; the schema sees to budgets and seeds."""
    caps = {}
    for group in loaded(scale).groups:
        if group.skip or group.tuning is None:
            continue
        caps.setdefault((group.paper, group.experiment), set()).add(group.tuning.cap)
        trial = group.grid_trials[-1].config
        RunConfig.parse(trial, f"{group.paper}/{group.experiment}/{group.label}")
        schedule = group.runs[0].config["method"].get("schedule")
        assert (schedule is None) == ("schedule" not in trial["method"])
    assert caps
    assert all(len(found) == 1 and None not in found for found in caps.values())


def test_the_smoke_scale_tunes_nothing_and_sweeps_its_grids_as_they_stand():
    for group in loaded("smoke").groups:
        if not group.skip:
            assert group.tuning is None
            assert group.sweep is None or group.sweep.cap is None


@pytest.mark.parametrize("paper", PAPERS)
def test_every_run_is_a_valid_configuration(plan, paper):
    groups = [group for group in plan.groups if group.paper == paper and not group.skip]
    assert groups
    known = set()
    for group in groups:
        run = group.runs[-1].config  # the far corner of its grid
        if run["method"]["lr"] == TUNED or asked_of_theory(run):
            run = run | {"method": run["method"] | {"lr": 0.1}}
        shape = str([run["method"], run["runtime"], run["log"]])
        if shape in known and (group.experiment,) in known:
            continue  # each task once, and each method once
        known |= {shape, (group.experiment,)}
        parsed = RunConfig.parse(run, f"{group.experiment}/{group.label}")
        asked = plan.papers[paper].experiments[group.experiment].log
        assert parsed.log.convention == asked.get("convention", plan.papers[paper].convention)


@pytest.mark.parametrize("paper", PAPERS)
def test_figures_tables_and_claims_name_what_there_is(plan, paper):
    content = plan.papers[paper]
    here, full = labels_of(plan, paper), labels_of(loaded("paper"), paper)
    for key, figure in figures.parse(content).items():
        named = {*getattr(figure, "methods", ()), *getattr(figure, "emphasise", ())}
        named |= {getattr(figure, "label", None)} - {None}
        assert all(named <= full[experiment] for experiment in figure.reads), key
    assert bool(tables.parse(content)) == bool(content.tables)
    for claim in claims.parse(content):
        check = claim.build(paper)
        if claim.id not in ONLY_AT_CPU:
            assert set(check.labels) <= full[check.experiment], claim.id
        if plan.scale == "cpu":  # at smoke methods are left out, and the verdict says so
            assert set(check.labels) <= here[check.experiment], claim.id
        assert claim.tolerance == 0 or claim.why, claim.id


def test_equal_accuracies_have_to_beat_chance():
    for name, paper in loaded("paper").papers.items():
        for claim in claims.parse(paper):
            if claim.check == "within" and claim.args.get("metric", "accuracy") == "accuracy":
                assert claim.args.get("chance"), f"{name} {claim.id}"


def test_no_two_papers_share_a_name_of_claims():
    found = claims.parse_all(loaded("paper").papers)
    ids = [claim.id for some in found.values() for claim in some]
    assert len(ids) == len(set(ids)) > 100


def test_the_first_command_is_given_what_25_claims_need():
    plan = loaded("smoke")
    tested = {}
    for name, paper in plan.papers.items():
        planned = labels_of(plan, name)
        for claim in claims.parse(paper):
            check = claim.build(name)
            budgets = [
                run.config["budget"]
                for group in plan.groups
                if (group.paper, group.experiment) == (name, check.experiment)
                for run in group.runs
            ]
            enough = all(
                float(budget.get(key) or 0) >= amount
                for budget in budgets
                for key, _, amount in claim.budget.items()
            )
            meant = claim.scales == "all" or "smoke" in claim.scales
            left_out = (
                paper.experiments[check.experiment].skip
                or not set(check.labels) <= planned[check.experiment]
            )
            if enough and meant and not left_out:
                tested.setdefault(name, []).append(claim.id)
    # CD-Adam's compare tuned rates over 20 starts.
    assert set(tested) == {"adacgd", "async_compressed", "comp_ams", "efficient_adam"}
    assert sum(map(len, tested.values())) >= 25, tested


@pytest.mark.parametrize("paper", ["adacgd", "async_compressed"])
def test_every_claim_says_why_its_tolerance_is_what_it_is(paper):
    assert all(claim.why for claim in claims.parse(loaded("paper").papers[paper]))


def test_papers_count_bits_by_their_own_conventions():
    assert {name: paper.convention for name, paper in loaded("paper").papers.items()} == {
        "adacgd": "values",
        "arena": "formula",
        "async_compressed": "async_compressed",
        "cd_adam": "cd_adam",
        "comp_ams": "comp_ams",
        "efficient_adam": "efficient_adam",
    }


def test_every_label_is_a_method():
    for label, entry in loaded("paper").methods.items():
        methods.build({**entry.method, "lr": 1.0}, label)


def test_every_label_of_the_set_all_exists():
    entries, sets = read_methods(CONFIG)
    assert set(sets["all"]) <= set(entries)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schemas_are_those_of_the_models(name):
    text = (CONFIG / f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == getattr(json_schemas, f"{name}_json_schema")()


@pytest.mark.parametrize(("name", "file"), [(n, f) for n, files in SCHEMAS.items() for f in files])
def test_every_file_is_valid_by_the_schema_that_it_names(name, file):
    jsonschema = pytest.importorskip("jsonschema")
    written = getattr(json_schemas, f"{name}_json_schema")()
    jsonschema.Draft202012Validator(written).validate(read_yaml(file))
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == CONFIG / f"schemas/{name}.schema.json"


@pytest.mark.parametrize(
    "paper",
    [
        {"experiments": {"e": {"like": "x", "sedes": [1]}}},
        {"experiments": {"e": {"title": "neither complete nor like another"}}},
        {"experiments": {"e": {"like": "x", "tuning": {"gird": [1]}}}},
        {"experiments": {"e": {"like": "x", "for_each": []}}},
        {"figure": {}},
    ],
)
def test_the_schema_refuses_what_is_misspelt(paper):
    jsonschema = pytest.importorskip("jsonschema")
    assert not jsonschema.Draft202012Validator(json_schemas.paper_json_schema()).is_valid(paper)


def test_the_readme_names_every_kind_check_and_variable():
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    code = (ROOT / "src/wiregrad").rglob("*.py")
    used = {name for f in code for name in VARIABLE.findall(f.read_text(encoding="utf-8"))}
    used -= {"WIREGRAD_LAUNCHED"}  # what the launcher tells its ranks
    assert {"WIREGRAD_MIRROR", "WIREGRAD_KERNELS"} <= used
    for paper in loaded("smoke").papers.values():  # all kinds and checks are imported
        assert figures.parse(paper)
        assert len(claims.parse(paper)) == len(paper.claims)
    names = [*figures.figure_kinds, *claims.checks, *tables.table_kinds]
    missing = [name for name in names if f"\n| `{name}` |" not in text]
    assert missing + [name for name in sorted(used) if f"| `{name}` |" not in text] == []
