"""pyproject.toml, requirements.lock, environment.yml and the imports say the same thing."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
# PyPI name -> name on conda-forge or bioconda, where they differ.
CONDA = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
    "torch": "pytorch",
}
# Imported beside the package that pins it exactly.
TIED = {"pydantic-core": "pydantic", "triton": "torch"}
# conda has to be told of what pip brings along, or of what builds the package.
CONDA_ONLY = {"pip", "python", "setuptools"}


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements():
    """Name -> version specifier of the run-time and development requirements."""
    project = pyproject()["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    found = {}
    for line in lines:
        name, specifier = re.fullmatch(r"([a-z0-9.-]+)(.*)", line).groups()
        found[name] = specifier
    return found


def run_time():
    return {re.match(r"[a-z0-9.-]+", line)[0] for line in pyproject()["project"]["dependencies"]}


def conda():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    specs = [MatchSpec(line) for line in environment["dependencies"]]
    return {spec.name.normalized: str(spec.version) for spec in specs}


def pins():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(re.match(r"([a-z0-9.-]+)==([^\s;]+)", line).groups() for line in lines)


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


def test_conda_environment_is_the_same_list():
    expected = {CONDA.get(name, name): bound for name, bound in requirements().items()}
    listed = conda()
    assert listed["python"] == pyproject()["project"]["requires-python"]
    assert {k: v for k, v in listed.items() if k not in CONDA_ONLY} == expected


def test_every_requirement_is_a_lower_bound():
    assert [line for line in requirements().values() if not re.fullmatch(r">=[\d.]+", line)] == []


def test_lock_pins_every_requirement_within_its_bound():
    locked = pins()
    for name, bound in requirements().items():
        assert version(locked[name]) >= version(bound), name
    assert (locked["torch"], locked["torchvision"]) == ("2.14.1", "0.29.1")


def test_this_environment_is_the_locked_one():
    from importlib.metadata import version as installed

    locked = pins()
    assert {name: installed(name) for name in run_time()} == {n: locked[n] for n in run_time()}


def imported_by(*folders):
    """Top-level modules that the Python files of some folders import, with one of the files."""
    found = {}
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            found |= {name.split(".")[0]: file.name for name in names}
    return {
        name: file
        for name, file in found.items()
        if name not in sys.stdlib_module_names and name != "wiregrad"
    }


def test_what_the_package_imports_is_a_requirement_and_the_reverse():
    local = {file.stem for file in (ROOT / "workflow/scripts").glob("*.py")}
    modules = set(imported_by("src", "workflow/scripts")) - local
    owners = packages_distributions()
    used = {re.sub(r"[._]+", "-", owners[name][0]).lower() for name in modules}
    used = {TIED.get(name, name) for name in used}
    # Snakemake is a requirement as a command (rules are no Python files), tabulate by pandas, for
    # its tables in Markdown.
    assert used | {"snakemake", "tabulate"} == run_time()


@pytest.mark.parametrize("extra", ["dev", "slurm"])
def test_extras_name_packages_once(extra):
    lines = pyproject()["project"]["optional-dependencies"][extra]
    names = [re.match(r"[a-z0-9.-]+", line)[0] for line in lines]
    assert sorted(set(names)) == names
    assert not set(names) & run_time()
