"""The method and the compressor that the documents print, in a workflow: trained and drawn."""

import documents
import pyarrow.parquet as pq
import pytest

TITLES = {"sign_sgd": "signSGD", "comp_ams_int8": "COMP-AMS, 8 bits"}
FEATURES = 123
"""Of a1a and a9a: elements of x."""


@pytest.fixture
def extended(project):
    """The small project with the printed files, where the documents say that they lie."""
    for name, code in documents.parts().items():
        project.write(name, code)
    return project


def test_every_printed_file_has_a_path():
    assert set(documents.parts()) == {
        f"mine/{n}.{end}" for n in ("sign_sgd", "int8") for end in ("py", "smk")
    }


def test_printed_parts_are_trained_and_in_figure_and_table(extended):
    figure, table = "figures/tiny/fig1.svg", "results/tiny/tables/tiny/final.md"
    output = extended.run("--config", "method_rules=[mine]", "--", figure, table)
    assert {f"rule train_{label}:" in output for label in TITLES} == {True}

    drawn = (extended.folder / figure).read_text(encoding="utf-8")
    rows = (extended.folder / table).read_text(encoding="utf-8")
    assert all(title in drawn and title in rows for title in TITLES.values())


def test_their_histories_descend_and_count_their_bytes(extended):
    groups = [f"results/tiny/tiny/convex/{label}/group.json" for label in TITLES]
    extended.run("--config", "method_rules=[mine]", "--", *groups)
    body = {"sign_sgd": FEATURES / 8, "comp_ams_int8": FEATURES}  # bytes, without scale and header
    for label, least in body.items():
        found = sorted(extended.folder.glob(f"results/tiny/tiny/convex/{label}/*/history.parquet"))
        assert len(found) == 2
        for file in found:
            rows = pq.read_table(file).to_pylist()
            assert rows[-1]["loss_train"] < rows[0]["loss_train"]
            per_round = rows[-1]["uplink_bits_wire"] / rows[-1]["step"] / 8
            assert least < per_round < least + 32
