import json

import pytest
import typer
from typer.testing import CliRunner, Result

from wiregrad.cli import parts
from wiregrad.compressors import registry
from wiregrad.core.errors import ConfigError

app = typer.Typer()
app.registered_commands += parts.app.registered_commands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compressors", *arguments], env={"COLUMNS": "200"})


def described(*arguments: str) -> list[dict]:
    return json.loads(run(*arguments, "--json").stdout)


def test_the_list_holds_every_family_with_class_and_source() -> None:
    out = run().stdout
    found = described()
    assert {each["name"] for each in found} == set(registry)
    for each in found:
        assert each["name"] in out
        assert each["source"] == registry[each["name"]].source
        built = registry.build({"name": each["name"], **each["settings"]})
        assert built.contract((21_840,)).constant == each["constant"]
        assert each["wire_bits"] > each["body_bits"] > 0


def test_settings_and_size_are_those_asked_for() -> None:
    (each,) = described("top_k", "--set", "ratio=0.1", "--set", "index_bits=32", "--d", "1000")
    assert (each["class"], each["constant"]) == ("contractive", 0.1)
    assert each["body_bits"] == 100 * 64
    (wide,) = described("identity", "--d", "10", "--dtype", "float64")
    assert wide["body_bits"] == 640
    assert "δ 0.1" in run("top_k", "--set", "k=1", "--d", "10").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["top_q"], "did you mean 'top_k'"),
        (["top_k", "--set", "ratio=2"], "ratio"),
        (["--set", "ratio=0.1"], "--set"),
        (["identity", "--dtype", "int8"], "allowed: float32"),
    ],
)
def test_what_is_wrong_is_one_clear_line(arguments: list[str], message: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=message):
        raise error
