"""What shortens a configuration: for_each, like, key!, label sets; mistakes are one line each."""

from __future__ import annotations

import re

import pytest
import yaml

from wiregrad.core.errors import ConfigError
from wiregrad.core.validation import parse_yaml
from wiregrad.studies.expansion import expanded, merge, resolved_sets, with_labels
from wiregrad.studies.papers import paper_names, read_paper

SETS = {"family": ["a", "b"]}


def figures(text):
    return expanded({"figures": yaml.safe_load(text)}, "f.yaml: ")["figures"]


def test_an_entry_for_each_value_with_values_as_they_are():
    text = """
    bits_{data}:
      for_each: { data: [x, y], k: [[1, 2]] }
      title: "{data}, K up to {data}"
      k: "{k}"
      kept: "{:g}"
    """
    assert figures(text) == {
        f"bits_{name}": {"title": f"{name}, K up to {name}", "k": [1, 2], "kept": "{:g}"}
        for name in "xy"
    }


def test_an_entry_for_each_row_and_every_combination_of_lists():
    rows = "'{n}': { for_each: [{ n: a, v: 1 }, { n: b, v: { c: 2 } }], v: '{v}' }"
    assert figures(rows) == {"a": {"v": 1}, "b": {"v": {"c": 2}}}
    product = "'{n}{m}': { for_each: { n: [a, b], m: [1, 2] } }"
    assert list(figures(product)) == ["a1", "a2", "b1", "b2"]


def test_a_block_goes_through_all_its_entries_for_each_row():
    text = """
    first: { x: 0 }
    block:
      for_each: { data: [p, q] }
      figures:
        one_{data}: { x: 1 }
        two_{data}_{n}: { for_each: { n: [1, 2] }, like: "one_{data}", n: "{n}" }
    last: { x: 9 }
    """
    found = figures(text)
    inner = ["one_p", "two_p_1", "two_p_2", "one_q", "two_q_1", "two_q_2"]
    assert list(found) == ["first", *inner, "last"]
    assert found["two_q_2"] == {"x": 1, "n": 2}


def test_claims_are_expanded_by_their_ids():
    claims = [
        {"id": "A", "args": {"x": 1, "y": [1]}, "why": "w"},
        {
            "for_each": {"n": [1, 2]},
            "claims": [{"id": "A-{n}", "like": "A", "args": {"y": ["{n}"]}}],
        },
    ]
    assert expanded({"claims": claims}, "")["claims"] == [
        {"id": "A", "args": {"x": 1, "y": [1]}, "why": "w"},
        {"id": "A-1", "args": {"x": 1, "y": [1]}, "why": "w"},
        {"id": "A-2", "args": {"x": 1, "y": [2]}, "why": "w"},
    ]


def test_like_starts_from_a_sibling_wherever_it_stands():
    text = """
    c: { like: b, budget: { steps: 2 } }
    b: { like: a, budget!: { steps: 1 } }
    a: { title: A, budget: { epochs: 3 } }
    """
    assert figures(text) == {
        "c": {"title": "A", "budget": {"steps": 2}},
        "b": {"title": "A", "budget": {"steps": 1}},
        "a": {"title": "A", "budget": {"epochs": 3}},
    }


def test_an_exclamation_mark_replaces_a_mapping_at_any_depth():
    base = {"a": {"b": {"c": 1}, "d": 2}}
    assert merge(base, {"a": {"b!": {"e": 3}}}) == {"a": {"b": {"e": 3}, "d": 2}}
    assert merge({}, {"a": {"b!": {"e": 3}}}) == {"a": {"b": {"e": 3}}}
    assert base == {"a": {"b": {"c": 1}, "d": 2}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: { for_each: { data: [] } }", "a.for_each.data: a list with at least one value"),
        ("a: { for_each: [] }", "a.for_each: {name: [value, ...]} or a list of rows"),
        ("a: { for_each: x }", "a.for_each: {name: [value, ...]} or a list of rows"),
        ("a: { for_each: [{ x: 1 }, { y: 1 }] }", "rows 1 and 2: only one of them has 'x'"),
        (
            "a: { for_each: { on: [1] } }",
            "True is no name: small letters, digits and _ (YAML reads on",
        ),
        (
            "a_{n}: { for_each: { n: [1] }, title: { x: '{m}' } }",
            "a_{n}.title.x: {m} is not in for_each (known: n)",
        ),
        ("a_{m}: { for_each: { n: [1] } }", "a_{m}: {m} is not in for_each (known: n)"),
        ("a: { for_each: { n: [1, 2] } }", "figures.a: two entries have this name"),
        (
            "a: { for_each: { n: [[1]] }, title: 'n = {n}' }",
            "a.title: {n} is no text or number and must stand alone",
        ),
        (
            "a: { for_each: { n: [1] }, figures: { b: {} }, title: t }",
            "a: beside for_each, figures are all that a block holds",
        ),
        ("{ a: {}, b: { like: c } }", "b.like: no entry 'c' here (known: a, b)"),
        ("{ a: { like: b }, b: { like: a } }", "a.like: goes round in a circle (a > b)"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(text, line):
    with pytest.raises(ConfigError, match=re.escape(line)) as caught:
        figures(text)
    assert str(caught.value).startswith("f.yaml: figures.")
    assert "\n" not in str(caught.value)


def test_a_scale_changes_entries_by_name():
    change = {"experiments": {"a": {"like": "b"}}}
    with pytest.raises(ConfigError, match=r"a\.like: not in a scale"):
        expanded(change, "s.yaml: ", inherits=False)


def test_label_sets_stand_for_their_labels_in_lists_and_keys():
    section = {
        "e": {
            "methods": ["c", "family"],
            "lr": {"default": 1, "family": 2, "b": 3},
            "tuning": {"shift": {"family": 30}},
        },
        "f": {"methods": "family", "title": "family", "args": {"better": "family"}},
        "g": {"methods": "all"},
    }
    assert with_labels(section, SETS, "") == {
        "e": {
            "methods": ["c", "a", "b"],
            "lr": {"default": 1, "a": 2, "b": 3},
            "tuning": {"shift": {"a": 30, "b": 30}},
        },
        "f": {"methods": ["a", "b"], "title": "family", "args": {"better": ["a", "b"]}},
        "g": {"methods": "all"},
    }


def test_a_set_may_hold_sets():
    found = resolved_sets({"x": ["a", "y"], "y": ["b", "a"]}, "abc", "f.yaml: label_sets")
    assert found == {"x": ["a", "b"], "y": ["b", "a"]}


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        ({"x": []}, "label_sets.x: a list of at least one label is required"),
        ({"a": ["b"]}, "label_sets.a: is the name of a label, too"),
        ({"x": ["d"]}, r"label_sets.x: unknown label 'd' \(known: a, b, c, x\)"),
        ({"x": ["y"], "y": ["x"]}, "label_sets.x: contains itself"),
    ],
)
def test_a_wrong_set_is_one_line(sets, line):
    with pytest.raises(ConfigError, match=line):
        resolved_sets(sets, "abc", "f.yaml: label_sets")
    with pytest.raises(
        ConfigError,
        match=r"e.methods: no label set 'famly'; did you mean 'family'\? \(known: family\)",
    ):
        with_labels({"methods": "famly"}, SETS, "e")


def test_a_paper_is_a_file_or_the_files_of_a_folder(tmp_path):
    folder = tmp_path / "papers/many"
    folder.mkdir(parents=True)
    (tmp_path / "papers/one.yaml").write_text("paper: one\n")
    (folder / "a.yaml").write_text("paper: many\n")
    (folder / "b.yaml").write_text("figures: { f: { for_each: { n: [1] } } }\n")
    assert paper_names(tmp_path) == ["many", "one"]
    assert read_paper(tmp_path, "one") == ({"paper": "one"}, str(tmp_path / "papers/one.yaml"))
    assert read_paper(tmp_path, "many") == ({"paper": "many", "figures": {"f": {}}}, str(folder))
    (folder / "c.yaml").write_text("paper: many\n")
    with pytest.raises(ConfigError, match=r"c\.yaml: paper: stands in .*a\.yaml already"):
        read_paper(tmp_path, "many")
    (tmp_path / "papers/many.yaml").write_text("paper: many\n")
    with pytest.raises(ConfigError, match=r"many\.yaml: the paper is the folder .*many already"):
        read_paper(tmp_path, "many")


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(yaml.YAMLError, match=r"'{task}' stands twice"):
        parse_yaml("a: 1\nfigures:\n  '{task}': { x: 1 }\n  '{task}': { x: 2 }\n")
    assert parse_yaml("a: &a { x: 1 }\nb: { <<: *a, x: 2 }\n")["b"] == {"x": 2}
