# What the rules share: paths, the methods, the plan, and functions of wildcards. It has no rules.
import json
import os
import sys
from functools import cache
from pathlib import Path

import wiregrad
from snakemake.exceptions import WorkflowError
from wiregrad.studies.papers import paper_names, read_methods
from wiregrad.studies.plan import load_plan
from wiregrad.runs.provenance import method_code_sha256

# Rules run the commands of the environment that runs Snakemake, activated or not.
os.environ |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])}

ENVIRONMENT = str(Path(workflow.basedir, "environment.yml"))
SCALE = config["scale"]
CONFIG_DIR = Path(config["config_dir"])
RESULTS = f"{config['results']}/{SCALE}"
FIGURES = config["figures"]
JOB_RESOURCES = config["resources"][SCALE]
LIGHT_RESOURCES = {"gpu": 0, "mem_mb": 2000, "runtime": 15}
PLAN_OPTIONS = f"--scale {SCALE} --config-dir {CONFIG_DIR} --results {config['results']}"
JOB_OPTIONS = f"{PLAN_OPTIONS} --checkpoint {config['checkpoint']}"
PAPER_OPTIONS = " ".join(f"--paper {paper}" for paper in config["papers"])
PAPERS = config["papers"] or paper_names(CONFIG_DIR)
METHODS = read_methods(CONFIG_DIR)[0]
EXTRA_METHODS = {}  # labels that rule files add (`register_method`), in the same form
NOTHING = "(?!)"  # a pattern that no label matches
# Sources: when they change, figures, tables, claims and the report, or the data reports, are made again.
PACKAGE = Path(wiregrad.__file__).parent
ANALYSIS_CODE = sorted(
    os.path.relpath(f) for f in PACKAGE.glob("analysis/**/*") if f.is_file() and f.suffix != ".pyc"
)
CATALOGUE = os.path.relpath(PACKAGE / "data/catalogue.yaml")


wildcard_constraints:
    paper="|".join(PAPERS),
    experiment="[a-z0-9_]+",
    label="[a-z0-9_]+",
    figure="[a-z0-9_]+",
    table="[a-z0-9_]+",


# --- methods ---------------------------------------------------------------------------------


def method_files():
    """Rule files of all methods: those of the suite, then those of config `method_rules`."""
    folders = [
        Path(workflow.basedir, "workflow/rules/methods"),
        *config["method_rules"],
    ]
    return [f.resolve() for folder in folders for f in sorted(Path(folder).glob("*.smk"))]


def register_method(label, title, method, plugin=None, **more):
    """Add a label from a rule file, as an entry of config/methods.yaml would.

    `plugin` is a Python file that registers the method; its path is relative to the rule file.
    """
    if label in METHODS | EXTRA_METHODS:
        raise WorkflowError(f"method label {label!r} is taken: {(METHODS | EXTRA_METHODS)[label]}")
    entry = {"title": title, "rule": label, "method": method} | more
    if plugin is not None:
        entry["plugin"] = os.path.relpath(Path(str(workflow.current_basedir), plugin))
    EXTRA_METHODS[label] = entry


def labels_of(rule):
    """The pattern of the labels that a method rule trains."""
    entries = (METHODS | EXTRA_METHODS).items()
    return (
        "|".join(label for label, entry in entries if entry.get("rule", label) == rule) or NOTHING
    )


def check_methods():
    """Raise WorkflowError for a label without a rule: Snakemake itself would name a file, not it."""
    for planned in plan().groups:
        name = f"train_{planned.entry.rule or planned.label}"
        if not planned.skip and not workflow.is_rule(name):
            raise WorkflowError(
                f"{CONFIG_DIR / 'methods.yaml'}: {planned.label}: no rule {name} (rules of methods"
                " are in workflow/rules/methods/ and in the folders of config `method_rules`)"
            )


# --- the plan --------------------------------------------------------------------------------


@cache
def plan():
    """The resolved experiments of this call, read once all method rules are known."""
    return load_plan(SCALE, CONFIG_DIR, PAPERS, config["results"], EXTRA_METHODS)


@cache
def group(paper, experiment, label):
    """The planned runs of one label in one experiment."""
    return plan().group(paper, experiment, label)


def planned_runs(wildcards):
    """Digest of the runs of a job, so that a changed grid runs again (finished runs are kept)."""
    return group(**wildcards).digest()


def data_reports(wildcards):
    """The report of the data set that a group needs; that of `a|b` is called a+b.json."""
    name = group(**wildcards).runs[0].config["problem"].get("data")
    return f"{RESULTS}/data/{name.replace('|', '+')}.json" if name else []


def threads_of(wildcards):
    """One; for a parameter server, whose times are a result, one per process."""
    settings = [run.config["runtime"] for run in group(**wildcards).runs]
    real = [each["workers"] + 1 for each in settings if each["name"] == "parameter_server"]
    return max(real, default=1)


def method_code(wildcards):
    """Digest of the code of the group's method."""
    entry = group(**wildcards).entry
    return method_code_sha256(entry.method["name"], [entry.plugin] if entry.plugin else [])


def group_files(paper=None, experiments=None):
    """Manifests of the groups that are run: of one paper (all papers), of some experiments (all)."""
    return [
        str(planned.manifest)
        for planned in plan().groups
        if not planned.skip
        and paper in (None, planned.paper)
        and (experiments is None or planned.experiment in experiments)
    ]


# --- what is drawn from the histories ----------------------------------------------------------


def analysed_experiments(spec):
    """The experiments that a figure or table reads: its `experiment`, or its `experiments`."""
    return spec.get("experiments") or [spec["experiment"]]


def figure_spec(wildcards):
    """The figure as config/papers/ describes it."""
    return plan().papers[wildcards.paper].figures[wildcards.figure]


def figure_groups(wildcards):
    """What a figure is drawn from."""
    return group_files(wildcards.paper, analysed_experiments(figure_spec(wildcards)))


def table_spec(wildcards):
    """The table as config/papers/ describes it."""
    return plan().papers[wildcards.paper].tables[wildcards.table]


def table_groups(wildcards):
    """What a table is computed from."""
    return group_files(wildcards.paper, analysed_experiments(table_spec(wildcards)))


def method_styles(wildcards):
    """Titles and colours of all labels, which figures and tables print."""
    return {label: (entry.title, entry.colour) for label, entry in plan().methods.items()}


# --- final outputs -------------------------------------------------------------------------------


def _wanted(paper, kind):
    """(paper, id) of the figures or tables that have a run at this scale."""
    return [
        (name, key)
        for name in ([paper] if paper else plan().papers)
        for key, spec in getattr(plan().papers[name], kind).items()
        if group_files(name, analysed_experiments(spec))
    ]


def figure_files(paper=None):
    """Pictures of one paper, or of all."""
    return expand(
        [f"{FIGURES}/{name}/{key}.{{suffix}}" for name, key in _wanted(paper, "figures")],
        suffix=["svg", "png"],
    )


def table_files(paper=None):
    """Tables of one paper, or of all."""
    return expand(
        [f"{RESULTS}/tables/{name}/{key}.{{suffix}}" for name, key in _wanted(paper, "tables")],
        suffix=["csv", "md", "tex"],
    )


def claim_files():
    """The verdicts."""
    return [f"{RESULTS}/claims.{kind}" for kind in ("csv", "md", "json")]


def report_files():
    """The pages that show everything."""
    return [f"{RESULTS}/report.html", f"{RESULTS}/explorer.html"]
