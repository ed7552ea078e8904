"""What the classes of the methods promise, and what importing them takes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from wiregrad import methods
from wiregrad.methods import Method, registry
from wiregrad.methods.premises import Dimensions, Premises, ThreePoint

PLUGIN = """
from dataclasses import dataclass

import torch

from wiregrad.compressors import Compressor
from wiregrad.methods import Channel, Empty, Method, Received, Replica, State, Step, register


@register("from_outside")
@dataclass(frozen=True, kw_only=True)
class FromOutside(Method):
    source = "a test"
    compressor: Compressor

    def init(self, x0: torch.Tensor, n: int) -> State:
        return State(Empty(), Replica(x0.clone()), Replica(x0.clone()))

    def work(
        self, workers: Empty, replica: Replica, grads: torch.Tensor, up: Channel, step: Step
    ) -> None:
        up(self.compressor, grads)

    def serve(self, server: Replica, received: Received, down: Channel, step: Step) -> None:
        server.x.sub_(received.mean(), alpha=step.lr)
        down.dense(server.x)
"""
USES_IT = """
import sys
from wiregrad.runs.config import RunConfig

run = RunConfig.parse(
    {
        "problem": {"name": "quadratic"},
        "method": {"name": "from_outside", "lr": 1, "compressor": {"name": "top_k", "k": 1}},
        "runtime": {"workers": 2},
        "budget": {"steps": 1},
        "seed": 0,
        "plugins": sys.argv[1:],
    }
)
assert run.method.partial is None
assert not run.method.sweepable
assert run.method.informed([1.0]) is run.method
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_problems_load_no_method() -> None:
    code = "import sys, wiregrad.problems.convex; sys.exit('wiregrad.methods' in sys.modules)"
    found = python(code)
    assert found.returncode == 0, found.stderr


def test_a_method_from_outside_needs_the_public_packages_alone(tmp_path: Path) -> None:
    plugin = tmp_path / "from_outside.py"
    plugin.write_text(PLUGIN)
    found = python(USES_IT, str(plugin))
    assert found.returncode == 0, found.stderr


def test_no_two_classes_of_the_methods_share_a_name() -> None:
    found = [
        cls.__name__
        for module in pkgutil.walk_packages(methods.__path__, f"{methods.__name__}.")
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if cls.__module__ == module.name
    ]
    assert [name for name, count in Counter(found).items() if count > 1] == []


@pytest.mark.parametrize("name", list(registry))
def test_every_method_names_its_source_and_states_its_algorithm(name: str) -> None:
    method = registry[name]
    assert method.source
    assert method.__doc__
    assert "\n" in method.__doc__  # more than a title


@pytest.mark.parametrize("name", list(registry))
def test_every_method_says_what_theorems_need_to_know(name: str) -> None:
    """An answer, or None: on the compressors of its example, or on the identity."""
    fields = registry[name].__dataclass_fields__
    given = {"compressor": "identity"} if "compressor" in fields else {}
    method: Method = registry.build({"name": name, "lr": 1.0} | given | registry[name].example())
    found = method.premises(Dimensions([(8,)], 4))
    assert found is None or isinstance(found, Premises)
    if isinstance(found, ThreePoint):
        assert 0 < found.ab.A <= 1
        assert found.ab.B >= 0
