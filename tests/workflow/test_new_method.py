"""A method outside the package: one file with the method, one with its rule."""

import pytest

METHOD = '''
"""Distributed SGD on the signs of the mean gradient: a method that the suite does not have."""

from dataclasses import dataclass

import torch

from wiregrad.methods.base import Empty, Method, Replica, State, register


@dataclass
class Server:
    x: torch.Tensor


@register("mean_sign_sgd")
@dataclass(frozen=True, kw_only=True)
class MeanSignSGD(Method):
    """x <- x - lr sign(mean g_i)."""

    source = "a test"

    def init(self, x0, n):
        return State(Empty(), Server(x0.clone()), Replica(x0.clone()))

    def work(self, workers, replica, grads, up, step):
        up.dense(grads)

    def serve(self, server, received, down, step):
        server.x.sub_(received.mean(0).sign(), alpha=step.lr)
        down.dense(server.x)
'''
RULE = """
register_method(
    "mean_sign",
    title="Mean-sign SGD",
    method={"name": "mean_sign_sgd"},
    plugin="mean_sign.py",
)


use rule train as train_mean_sign with:
    wildcard_constraints:
        label=labels_of("mean_sign"),
"""


@pytest.fixture
def extended(project):
    """The small project with a folder `mine` that holds the two files."""
    project.write("mine/mean_sign.py", METHOD)
    project.write("mine/mean_sign.smk", RULE)
    return project


def test_a_dropped_in_method_is_in_the_figure_and_the_table(extended):
    figure, table = "figures/tiny/fig1.svg", "results/tiny/tables/tiny/final.md"
    output = extended.run("--config", "method_rules=[mine]", "--", figure, table)
    assert "rule train_mean_sign:" in output

    words = (extended.folder / figure).read_text(encoding="utf-8")
    titles = {"Dist-AMS", "COMP-AMS Top-k", "Mean-sign SGD"}
    assert {title for title in titles if title in words} == titles
    rows = (extended.folder / table).read_text(encoding="utf-8")
    assert {title for title in titles if title in rows} == titles


def test_changed_code_of_a_method_runs_that_method_alone(extended):
    groups = [f"results/tiny/tiny/convex/{label}/group.json" for label in ("top_k", "mean_sign")]
    call = ["--config", "method_rules=[mine]", "--", *groups]
    extended.run(*call)

    extended.write("mine/mean_sign.py", METHOD.replace('"a test"', '"a test"  # a comment'))
    assert "Nothing to be done" in extended.run("-n", *call)

    extended.write("mine/mean_sign.py", METHOD.replace(".sign()", ".sign() * 0.5"))
    before = extended.histories("mean_sign")
    output = extended.run(*call)
    assert "rule train_mean_sign:" in output
    assert "rule train_comp_ams:" not in output
    after = extended.histories("mean_sign")
    assert before.keys() == after.keys()
    assert all(before[run] != after[run] for run in before)
