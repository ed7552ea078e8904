"""The catalogue: whole, consistent with the readers, and open to additions."""

from typing import get_args

import pytest

from wiregrad import data
from wiregrad.core.errors import ConfigError
from wiregrad.data.readers import READERS
from wiregrad.data.schema import Format
from wiregrad.data.sources import GROUP_OF, GROUPS


def test_every_format_has_a_reader():
    assert set(get_args(Format)) == set(READERS)


def test_sources_stand_in_the_order_of_their_groups():
    for entry in data.entries().values():
        ranks = [GROUPS.index(GROUP_OF[source.kind]) for source in entry.sources]
        assert ranks == sorted(ranks), entry.name
        assert entry.bytes > 0


def test_every_set_is_pinned_by_a_digest_or_by_its_archive_or_held_to_its_rows():
    for entry in data.entries().values():
        pinned = [f.sha256 for s in entry.sources if s.kind == "http" for f in s.files.values()]
        held = entry.options is not None and entry.options.rows
        assert entry.digest or all(pinned) or held, entry.name
        assert not (entry.digest and held), f"{entry.name}: its digest is known"


def test_ranges_of_files_are_expanded():
    files = data.entry("cifar10-mirror").sources[0].files
    assert len(files) == 122
    assert files["train_strip_099"] == "cifar10/train_099.webp"


def test_unknown_set_names_the_known_ones():
    with pytest.raises(ConfigError, match="unknown set 'phising'; did you mean 'phishing'"):
        data.alternatives("mnist|phising")


def test_added_catalogue(tmp_path, monkeypatch):
    path = tmp_path / "more.yaml"
    monkeypatch.setenv("WIREGRAD_CATALOGUE", str(path))
    with pytest.raises(ConfigError, match=r"WIREGRAD_CATALOGUE: .*more\.yaml: No such file"):
        data.entries()
    path.write_text("sets: {mine: {family: mine, title: My set}}\n")
    with pytest.raises(ConfigError, match=r"more\.yaml: mine\.licence: Field required"):
        data.entries()
    path.write_text("sets: [a, b]\n")
    with pytest.raises(ConfigError, match=r"more\.yaml: not a catalogue"):
        data.entries()


@pytest.mark.parametrize(
    ("format_", "options"), [("libsvm", "null"), ("mnist-idx", "{features: 3}")]
)
def test_options_belong_to_tables(tmp_path, monkeypatch, format_, options):
    path = tmp_path / "more.yaml"
    path.write_text(
        f"""sets:
  mine:
    {{family: mine, title: t, licence: l, cite: c, bytes: 1, digest: null, options: {options},
      sources: [{{kind: mirror, format: {format_}, files: {{data: x}}}}]}}
"""
    )
    monkeypatch.setenv("WIREGRAD_CATALOGUE", str(path))
    with pytest.raises(ConfigError, match="mine: Value error, options are for the formats"):
        data.entries()


def test_the_package_imports_without_torch():
    import subprocess
    import sys

    code = "import sys, wiregrad.data, wiregrad.cli.data; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
