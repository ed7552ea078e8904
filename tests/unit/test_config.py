"""A run configuration says everything, and whatever is wrong with it is one clear line."""

from __future__ import annotations

import json

import pytest

from wiregrad.core.errors import ConfigError
from wiregrad.core.validation import set_keys
from wiregrad.methods import registry as methods
from wiregrad.runs import config as configs
from wiregrad.runs.config import RunConfig

GOOD = {
    "problem": {"name": "logistic", "data": "phishing", "lam": 0.1},
    "method": {"name": "comp_ams", "lr": 0.01, "compressor": {"name": "top_k", "k": 5}},
    "runtime": {"workers": 20},
    "budget": {"steps": 60},
    "seed": 0,
}


def changed(**parts):
    return GOOD | parts


def test_resolved_config_parses_to_the_same_run():
    run = RunConfig.parse(GOOD)
    again = RunConfig.parse(json.loads(json.dumps(run.resolved())))
    assert again == run
    assert again.sha256() == run.sha256()


def test_spelling_out_a_default_changes_no_digest():
    spelt = changed(log={"every": 1}, runtime={"workers": 20, "name": "simulated"})
    assert RunConfig.parse(spelt).sha256() == RunConfig.parse(GOOD).sha256()
    assert RunConfig.parse(changed(seed=1)).sha256() != RunConfig.parse(GOOD).sha256()


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (changed(seed=-1), r"seed: Input should be greater than or equal to 0 \(got -1\)"),
        (changed(seed=True), "seed: "),
        (changed(bugdet=1), "bugdet: unknown key; did you mean 'budget'"),
        (changed(runtime={"workers": 0}), "runtime.workers: .*greater than 0"),
        (changed(runtime={"wokers": 2}), "runtime.wor?kers: "),
        (changed(budget={}), "budget: give one of steps, epochs, samples, bits, target"),
        (changed(budget={"steps": 1, "epochs": 1}), "budget: give one of steps, epochs, samples"),
        (changed(budget={"target": {"column": "loss_train"}}), "budget.target: give one of below"),
        (changed(problem={"data": "a9a"}), "problem.name: missing .known: "),
        (changed(problem=None), "problem: missing"),
        (changed(method={"name": "comp_amz", "lr": 1}), "unknown method 'comp_amz'; did you mean"),
        (changed(method=GOOD["method"] | {"lr": -1}), "method.lr: .*greater than 0"),
        (changed(method=GOOD["method"] | {"foo": 1}), "method.foo: unknown key .allowed: name, lr"),
        (
            changed(method=GOOD["method"] | {"compressor": {"name": "top_k", "kk": 3}}),
            "method.compressor.kk: unknown key; did you mean 'k'. .allowed: name, ",
        ),
        (
            changed(method=GOOD["method"] | {"blocks": "some"}),
            "method.blocks: Input should be 'auto', 'whole', 'per_tensor' or 'per_layer'",
        ),
        (changed(log={"convention": "x"}), "log.convention: unknown convention 'x', allowed: "),
        (changed(plugins=["nowhere.py"]), "plugins: nowhere.py: no such file"),
    ],
)
def test_bad_configuration_names_file_key_and_what_is_allowed(config, line):
    with pytest.raises(ConfigError, match=line) as caught:
        RunConfig.parse(config, "run.yaml")
    assert str(caught.value).startswith("run.yaml: ")
    assert "\n" not in str(caught.value)


def test_set_overrides_nested_keys():
    config = set_keys({"a": {"b": 1}}, ["a.b=2", "a.c.d={x: [1, 2]}", "e=word"])
    assert config == {"a": {"b": 2, "c": {"d": {"x": [1, 2]}}}, "e": "word"}


@pytest.mark.parametrize("bad", ["a", "=1", "a.=1", "a.b.c=1", "x=[1"])
def test_set_refuses_what_it_cannot_read(bad):
    with pytest.raises(ConfigError, match="--set"):
        set_keys({"a": {"b": 1}}, [bad])


def _runtimes(schema):
    return schema["properties"]["runtime"]["oneOf"]


def test_json_schema_lists_every_method_and_problem():
    schema = configs.json_schema()
    names = [entry["title"] for entry in schema["properties"]["method"]["oneOf"]]
    assert names == list(configs.methods)
    runtimes = {entry["title"]: entry["properties"] for entry in _runtimes(schema)}
    assert set(runtimes["asynchronous"]["link"]["properties"]) == {"latency", "bandwidth"}
    assert set(runtimes["delayed"]["delay"]["oneOf"][0]["properties"]) == {"name", "tau"}
    assert schema["required"][:2] == ["problem", "method"]
    assert "$ref" not in json.dumps([schema["properties"][k] for k in ("method", "runtime")])


def test_budget_turns_epochs_and_samples_into_rounds():
    def rounds(**budget):
        return RunConfig.parse(changed(budget=budget)).budget.total_steps(10, 64)

    assert rounds(steps=7) == 7
    assert rounds(epochs=2.5) == 25
    assert rounds(samples=640) == 10
    assert rounds(bits=1) == configs.Budget.MAX_STEPS


def test_a_plugin_registers_a_method_and_its_bytes_are_part_of_the_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "_classes", dict(methods._classes))  # other tests list them
    plugin = tmp_path / "half_sgd.py"
    text = '''
from dataclasses import dataclass
from wiregrad.methods import register
from wiregrad.methods.baselines import DistSGD

@register("half_sgd")
@dataclass(frozen=True, kw_only=True)
class HalfSGD(DistSGD):
    """SGD."""
'''
    plugin.write_text(text)
    config = changed(method={"name": "half_sgd", "lr": 1}, plugins=[str(plugin)])
    run = RunConfig.parse(config)
    assert run.method.name == "half_sgd"
    before = run.sha256()
    plugin.write_text(text + "\n# another\n")
    assert run.sha256() != before
