"""Plans: the grids of config/, where files go, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.studies.expansion import merge
from wiregrad.studies.plan import load_plan
from wiregrad.studies.run_configs import TUNED

ROOT = Path(__file__).parents[2]

EXPERIMENT = {
    "title": "t",
    "problem": {"name": "logistic", "data": "a9a"},
    "runtime": {"workers": 4},
    "budget": {"steps": 3},
    "methods": "all",
    "lr": {"default": 0.1, "b": 0.2},
    "seeds": [1, 2],
}


def write(tmp_path, experiment, scale=None):
    (tmp_path / "papers").mkdir(parents=True)
    (tmp_path / "scales").mkdir()
    entries = {
        "a": {"title": "A", "method": {"name": "dist_sgd"}},
        "b": {"title": "B", "method": {"name": "dist_ams"}},
    }
    (tmp_path / "methods.yaml").write_text(yaml.safe_dump(entries))
    paper = {"paper": "p", "title": "P", "arxiv": "1", "convention": "formula"}
    paper["experiments"] = {"e": EXPERIMENT | experiment}
    (tmp_path / "papers/p.yaml").write_text(yaml.safe_dump(paper))
    text = {"scale": "s", "papers": {"p": {"experiments": {"e": scale or {}}}}}
    (tmp_path / "scales/s.yaml").write_text(yaml.safe_dump(text))
    return tmp_path


def test_a_group_for_each_label_with_a_run_for_each_seed_and_grid_point(tmp_path):
    base = write(tmp_path, {"grid": {"runtime.workers": [2, 4]}})
    plan = load_plan("s", base, results="r")
    assert [(g.label, len(g.runs)) for g in plan.groups] == [("a", 4), ("b", 4)]
    group = plan.group("p", "e", "b")
    assert [(r.workers, r.seed) for r in group.runs] == [(2, 1), (2, 2), (4, 1), (4, 2)]
    assert {r.config["method"]["lr"] for r in group.runs} == {0.2}
    assert group.manifest == Path("r/s/p/e/b/group.json")
    assert len({r.run_id for g in plan.groups for r in g.runs}) == 8


def test_rates_can_grow_with_the_root_of_the_workers(tmp_path):
    lr = {"default": 0.5, "scaling": "sqrt_workers"}
    plan = load_plan("s", write(tmp_path, {"lr": lr, "grid": {"runtime.workers": [4, 16]}}))
    assert [r.config["method"]["lr"] for r in plan.group("p", "e", "a").runs[::2]] == [1.0, 2.0]


def test_rates_can_fall_with_the_root_of_the_rounds(tmp_path):
    lr = {"default": 0.5, "scaling": "inverse_sqrt_steps"}
    plan = load_plan("s", write(tmp_path / "a", {"lr": lr, "grid": {"budget.steps": [4, 100]}}))
    found = {(r.config["budget"]["steps"], r.config["method"]["lr"]) for r in plan.groups[0].runs}
    assert found == {(4, 0.25), (100, 0.05)}
    with pytest.raises(ConfigError, match="inverse_sqrt_steps needs"):
        load_plan("s", write(tmp_path / "b", {"lr": lr, "budget": {"epochs": 2}}))


def test_tuning_on_the_objective_sets_nothing_aside(tmp_path):
    tuning = {"grid": [0.1, 1], "seeds": [9], "budget": {"steps": 1}, "metric": "grad_norm"}
    plan = load_plan("s", write(tmp_path, {"tuning": tuning}))
    assert "valid_fraction" not in plan.groups[0].grid_trials[0].config["problem"]


def test_tuning_gives_every_label_as_many_points_and_leaves_the_rate_open(tmp_path):
    tuning = {"grid": [0.1, 1], "shift": {"a": 10}, "seeds": [9], "budget": {"steps": 1}}
    plan = load_plan("s", write(tmp_path, {"tuning": tuning, "schedule": {"milestones": [1]}}))
    rates = {
        g.label: [trial.config["method"]["lr"] for trial in g.grid_trials] for g in plan.groups
    }
    assert rates == {"a": [1.0, 10.0], "b": [0.1, 1.0]}
    run, trial = plan.groups[0].runs[0], plan.groups[0].grid_trials[0]
    assert run.config["method"]["lr"] == TUNED
    assert trial.config["problem"]["valid_fraction"] == 0.1
    assert "schedule" not in trial.config["method"]


SEARCH = {"grid": [0.1, 1], "cap": 6, "seeds": [8, 9], "budget": {"fraction": 0.25}}


def test_a_fraction_of_the_budget_shrinks_the_schedule_too(tmp_path):
    changes = {
        "tuning": SEARCH,
        "budget": {"epochs": 30, "bits": 1000, "target": {"column": "loss_train", "below": 1}},
        "schedule": {"name": "step", "milestones": [10, 20], "factor": 0.5},
    }
    group = load_plan("s", write(tmp_path / "a", changes)).groups[0]
    config = group.trial({"method.lr": 0.3}, 8).config
    assert config["budget"] == {"epochs": 7.5, "bits": 250}
    shrunk = {"name": "step", "milestones": [2.5, 5.0], "factor": 0.5}
    assert config["method"]["schedule"] == shrunk
    assert (config["method"]["lr"], config["seed"]) == (0.3, 8)
    assert group.runs[0].config["method"]["schedule"]["milestones"] == [10, 20]
    short = load_plan("s", write(tmp_path / "b", {"tuning": SEARCH, "budget": {"steps": 3}}))
    assert short.groups[0].trial_config["budget"] == {"steps": 1}


def test_the_digest_of_a_tuned_group_is_that_of_the_rule(tmp_path):
    def digests(name, **changes):
        plan = load_plan("s", write(tmp_path / name, {"tuning": SEARCH | changes}))
        return {group.label: group.digest() for group in plan.groups}

    plain = digests("plain")
    for name, changes in {
        "cap": {"cap": 7},
        "grid": {"grid": [0.1, 2]},
        "seeds": {"seeds": [8, 10]},
        "budget": {"budget": {"fraction": 0.5}},
        "metric": {"metric": "metric_valid"},
    }.items():
        other = digests(name, **changes)
        assert all(other[label] != plain[label] for label in plain), name
    for name, changes in {
        "shift": {"shift": {"a": 10}},
        "also": {"also": {"a": {"method.eps": {"grid": [1e-8, 1e-6]}}}},
    }.items():
        other = digests(name, **changes)
        assert other["a"] != plain["a"]
        assert other["b"] == plain["b"]


def test_a_share_of_a_run_is_as_many_rounds_of_a_trial(tmp_path):
    share = {"grid": [0.05, 0.5], "share": True}
    tuning = SEARCH | {"also": {"a": {"method.warmup": share}}}
    first, second = load_plan("s", write(tmp_path, {"tuning": tuning})).groups
    for of_run, of_trial in ((0.05, 0.2), (0.5, 1.0)):
        settings = {"method.lr": 0.1, "method.warmup": of_run}
        assert first.trial(settings, 8).config["method"]["warmup"] == of_trial
        assert second.trial(settings, 8).config["method"]["warmup"] == of_run
    constant = tuning | {"budget": {"steps": 3}, "cap": None}
    with pytest.raises(ConfigError, match="also: a share of a run's rounds wants budget"):
        load_plan("s", write(tmp_path / "b", {"tuning": constant}))


def test_every_label_has_the_same_cap_and_further_axes_count_apart(tmp_path):
    also = {"a": {"method.rounds": {"grid": [2, 4], "whole": True}}}
    tuning = SEARCH | {"also": also, "shift": {"b": 10}}
    first, second = load_plan("s", write(tmp_path, {"tuning": tuning})).groups
    assert [axis.cap for axis in (*first.axes, *second.axes)] == [6, 6, 6]
    assert (first.most_trials, second.most_trials) == (6 * 6 * 2, 6 * 2)
    assert (len(first.grid_trials), len(second.grid_trials)) == (2 * 2 * 2, 2 * 2)
    rounds = {trial.config["method"]["rounds"] for trial in first.grid_trials}
    assert rounds == {2, 4}
    assert all(type(each) is int for each in rounds)
    assert len({trial.run_id for trial in first.grid_trials}) == 8


def test_a_scale_overrides_by_key_and_digests_follow(tmp_path):
    plain = load_plan("s", write(tmp_path / "one", {}))
    short = load_plan("s", write(tmp_path / "two", {}, {"budget": {"steps": 2}}))
    assert short.groups[0].runs[0].config["budget"] == {"steps": 2}
    assert plain.groups[0].digest() != short.groups[0].digest()
    assert plain.groups[0].digest() == load_plan("s", tmp_path / "one").groups[0].digest()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sedes": [1]}, r"papers/p.yaml: experiments.e.sedes: unknown key"),
        ({"seeds": []}, r"experiments.e.seeds: .*at least 1"),
        ({"lr": {"default": 0}}, r"experiments.e.lr.default: .*greater than 0"),
        ({"lr": {"default": 1, "b": "x"}}, r"experiments.e.lr: b: a learning rate is a positive"),
        ({"lr": {"default": 1, "bb": 2}}, r"experiments.e.lr: unknown label 'bb'.*known: a, b\)"),
        ({"seeds": [1, 1]}, r"seeds: each may stand once"),
        ({"methods": ["c"]}, r"unknown label 'c' \(known: a, b\)"),
        (
            {"tuning": {"grid": [1, 2], "seeds": [1], "budget": {"steps": 1}}},
            "tuning.seeds must be apart from seeds",
        ),
        ({"tuning": SEARCH | {"cap": 3}}, r"tuning: cap: 4 at least, the grid and 2 values"),
        ({"tuning": SEARCH | {"seeds": [9]}}, r"tuning: seeds: two at least, with a cap and"),
        (
            {"tuning": SEARCH | {"budget": {"fraction": 0.1}}},
            r"tuning: budget: with a cap it is \{ fraction: 0.25 \} of the run's or more",
        ),
        ({"tuning": SEARCH | {"budget": {"steps": 9}}}, r"tuning: budget: with a cap it is"),
        (
            {"tuning": SEARCH | {"budget": {"fraction": 0.5, "steps": 9}}},
            r"tuning: budget.fraction: stands alone",
        ),
        ({"tuning": SEARCH | {"budget": {"fraction": 2}}}, r"a number in \(0, 1\] \(got 2\)"),
        (
            {"tuning": SEARCH, "budget": {"bits": 9}},
            r"tuning.budget.fraction: the run's budget has none of epochs, samples, steps",
        ),
        (
            {"sweep": {"tolerance": 1, "max_rounds": 9, "k": [1, 2, 4], "cap": 4}},
            r"sweep: cap: 14 at least, for multiples and 2 to refine it",
        ),
        (
            {"sweep": {"tolerance": 1, "max_rounds": 9, "zeta": [0, 4], "cap": 14}},
            r"sweep: zeta: with a cap two positive values at least",
        ),
    ],
)
def test_bad_grammar_is_one_line(tmp_path, change, line):
    with pytest.raises(ConfigError, match=line) as caught:
        load_plan("s", write(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_unknown_scale_paper_and_group_say_what_there_is(tmp_path):
    base = write(tmp_path, {})
    with pytest.raises(ConfigError, match="scale: 'x', allowed: s"):
        load_plan("x", base)
    with pytest.raises(ConfigError, match=r"no paper 'q' \(known: p\)"):
        load_plan("s", base, ["q"])
    with pytest.raises(ConfigError, match="no group p/e/z at scale s"):
        load_plan("s", base).group("p", "e", "z")


def test_a_long_list_of_groups_is_not_told_but_the_nearest_ones():
    with pytest.raises(ConfigError, match="did you mean 'adacgd/phishing/ef21'") as caught:
        load_plan("paper", ROOT / "config", ["adacgd"]).group("adacgd", "phishing", "ef2l")
    assert len(str(caught.value)) < 250


def test_methods_all_is_the_set_all_and_every_label_from_outside(tmp_path):
    base = write(tmp_path, {})
    extra = {"c": {"title": "C", "method": {"name": "dist_sgd"}}}
    assert [g.label for g in load_plan("s", base, extra_methods=extra).groups] == ["a", "b", "c"]
    content = yaml.safe_load((base / "methods.yaml").read_text())
    (base / "methods.yaml").write_text(yaml.safe_dump(content | {"label_sets": {"all": ["b"]}}))
    assert [g.label for g in load_plan("s", base, extra_methods=extra).groups] == ["b", "c"]


def test_the_sets_of_a_paper_are_found_after_the_scale(tmp_path):
    base = write(tmp_path, {}, {"methods": "mine"})
    path = base / "papers/p.yaml"
    path.write_text(yaml.safe_dump({"label_sets": {"mine": ["b"]}}) + path.read_text())
    assert [g.label for g in load_plan("s", base).groups] == ["b"]
    path.write_text(path.read_text().replace("mine", "all"))
    (base / "scales/s.yaml").write_text("scale: s\n")
    with pytest.raises(ConfigError, match=r"p\.yaml: label_sets\.all: stands in methods\.yaml"):
        load_plan("s", base)


def test_a_scale_names_experiments_that_exist(tmp_path):
    base = write(tmp_path, {})
    (base / "scales/s.yaml").write_text("scale: s\npapers: { p: { experiments: { f: {} } } }\n")
    with pytest.raises(ConfigError, match=r"s\.yaml: papers\.p\.experiments: no experiment 'f'"):
        load_plan("s", base)


def test_merge_joins_mappings_and_replaces_the_rest():
    assert merge({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2]}, "d": None}) == {
        "a": {"b": 1, "c": [2]},
        "d": None,
    }


@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_the_scales_of_the_suite_have_plans(scale):
    plan = load_plan(scale, ROOT / "config")
    assert len(plan.groups) > 10


def test_a_plan_needs_no_torch():
    code = (
        "import sys; from wiregrad.studies.plan import load_plan; load_plan('smoke', sys.argv[1]);"
        "import wiregrad.runs.record; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT / "config")], check=True)
