import json

import pytest
import typer
from typer.testing import CliRunner, Result

from wiregrad.cli import parts
from wiregrad.core.errors import ConfigError
from wiregrad.methods import registry

app = typer.Typer()
app.registered_commands += parts.app.registered_commands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["methods", *arguments], env={"COLUMNS": "200"})


def test_the_list_names_every_method_with_its_source() -> None:
    out = run().stdout
    for name in registry:
        assert name in out
        assert registry[name].source.split(",")[0] in out


def test_details_hold_the_pseudo_code_and_the_bounds() -> None:
    out = run("comp_ams").stdout
    assert "worker  c_i = C(g_i + e_i);  e_i <- e_i + g_i - c_i" in out
    assert "number ≥ 0, < 1" in out
    assert "{milestones, factor, name} or null" in out
    assert "one_bit_adam" not in out


def test_details_say_what_else_the_method_can_do() -> None:
    assert "Asynchronous runtimes: yes" in run("comp_ams").stdout
    assert "Asynchronous runtimes: only those that wait" in run("cd_adam").stdout
    assert "Sweeps: yes" in run("cd_adam").stdout
    assert "Sweeps: no" in run("comp_ams").stdout


def test_json_gives_defaults_that_build_the_method() -> None:
    for described in json.loads(run("--json").stdout):
        parameters = described["parameters"]
        given = {"lr": 0.1} | ({"compressor": "identity"} if "compressor" in parameters else {})
        given |= registry[described["name"]].example()
        defaults = {key: p["default"] for key, p in parameters.items() if not p["required"]}
        name = {"name": described["name"]}
        assert registry.build(name | given | defaults) == registry.build(
            name | {key: value for key, value in given.items() if key not in defaults}
        )


def test_an_unknown_method_is_told_with_the_known_ones() -> None:
    error = run("comp_am").exception
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match="did you mean 'comp_ams'"):
        raise error
