"""What a paper's configuration can name: every kind and check says in a sentence what it does."""

import inspect
import re
from pathlib import Path

import pytest

from wiregrad.analysis.catalogue import Argument, catalogue, type_text
from wiregrad.analysis.claims.catalogue import checks
from wiregrad.analysis.figures.catalogue import figure_kinds
from wiregrad.analysis.tables.catalogue import DEFAULT, table_kinds
from wiregrad.studies.plan import load_plan

CONFIG = Path(__file__).parents[2] / "config"
ENTRIES = [(section, entry) for section, entries in catalogue().items() for entry in entries]


@pytest.mark.parametrize(("section", "entry"), ENTRIES, ids=lambda each: getattr(each, "name", ""))
def test_every_kind_and_check_is_described_by_one_sentence(section, entry):
    assert entry.about.endswith(".")
    assert ". " not in entry.about
    assert 30 <= len(entry.about) <= 95
    assert entry.about[0].isupper() or entry.about[0] == "‖"


def test_the_name_of_a_module_is_that_of_what_it_registers():
    for registry in (figure_kinds, table_kinds, checks):
        for name in registry:
            assert inspect.getfile(registry[name]).endswith(f"/kinds/{name}.py")


def test_every_kind_and_check_is_used_by_a_paper():
    used = {"figures": set(), "tables": set(), "checks": set()}
    for paper in load_plan("paper", CONFIG).papers.values():
        used["figures"] |= {entry["kind"] for entry in paper.figures.values()}
        used["tables"] |= {entry.get("kind", DEFAULT) for entry in paper.tables.values()}
        used["checks"] |= {claim["check"] for claim in paper.claims}
    assert used == {s: {e.name for e in entries} for s, entries in catalogue().items()}


def test_arguments_have_types_and_defaults_in_words():
    (within,) = (entry for entry in catalogue()["checks"] if entry.name == "within")
    assert within.arguments[:2] == (Argument("left", "text", None), Argument("right", "text", None))
    found = {argument.name: argument for argument in within.arguments}
    assert found["at"] == Argument("at", "final | mapping of text to number", "final")
    assert found["workers"] == Argument("workers", "integer | null", "null")
    (table,) = (entry for entry in catalogue()["tables"] if entry.name == "outcomes")
    target = next(argument for argument in table.arguments if argument.name == "target")
    assert target.type.startswith("{metric: accuracy | ")
    assert type_text(tuple[tuple[str, ...], ...]) == "list of list of text"


def documented(section):
    """The rows of a table of config/README.md: name of the kind or check, and its last column."""
    heading = {"figures": "Figures", "tables": "Tables", "checks": "Claims"}[section]
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    body = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|(.*)\|$", body, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("section", ["figures", "tables", "checks"])
def test_the_configuration_documents_every_kind_with_its_arguments(section):
    rows = documented(section)
    entries = catalogue()[section]
    assert sorted(rows) == [entry.name for entry in entries]
    for entry in entries:
        row = rows[entry.name].replace("as `better`", rows.get("better", ""))
        named = set(re.findall(r"`(\w+)[`:]", row)) | (
            {"methods"} if section == "figures" else set()
        )
        assert {argument.name for argument in entry.arguments} <= named, entry.name
        defaults = {a.name: a.default for a in entry.arguments if a.default not in {None, "null"}}
        for name, shown in re.findall(r"`(\w+): ([^`]+)`", row):
            wanted = defaults.get(name, shown)
            assert shown.strip('"') in {wanted, wanted.removesuffix(".0")}, (entry.name, name)
