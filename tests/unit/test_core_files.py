"""Files are written whole or not at all, and what prevents it is one clear line."""

import pytest

from wiregrad.core.errors import ConfigError, WiregradError, WriteError
from wiregrad.core.files import write_atomic, write_json, write_text
from wiregrad.core.validation import read_yaml


def test_text_replaces_the_old_file(tmp_path):
    path = tmp_path / "new/folder/a.txt"
    write_text(path, "old")
    write_text(path, "grün")
    assert path.read_text(encoding="utf-8") == "grün"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_file_stays_as_it_was_if_the_body_raises(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": 2})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(ZeroDivisionError), write_atomic(path) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, reason in (("file/a.txt", "File exists"), ("folder", "Is a directory")):
        with pytest.raises(WriteError, match=rf"{path}: cannot be written \({reason}\)") as caught:
            write_text(tmp_path / path, "x")
        assert isinstance(caught.value, WiregradError)
        assert isinstance(caught.value, OSError)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a\.yaml: cannot be read \(No such file or directory\)"),
        (b"a: [1", r"a\.yaml: not YAML \(.*\)"),
        (b"\xff", r"a\.yaml: not YAML \(.*\)"),
        (b"- 1\n", r"a\.yaml: must hold a mapping \(got a list\)"),
        (b"", r"a\.yaml: must hold a mapping \(got nothing\)"),
    ],
)
def test_what_is_no_yaml_mapping_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
