"""Adult rows as a9a features; that whole files agree is in the integration tests."""

import pytest

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.adult import COLUMNS, read_adult

FIRST = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
    "Male, 2174, 0, 40, United-States, <=50K"
)
LAST = FIRST.replace("39,", "17,").replace("United-States", "?").replace("<=50K", ">50K.")


def read(path):
    return read_adult({"data": path}, features=123, task="binary")


def test_the_columns_have_123_features():
    widths = [len(kinds) + isinstance(kinds[0], int) for kinds in COLUMNS.values()]
    assert sum(widths) == 123


def test_first_row_is_the_first_of_a9a(tmp_path):
    (tmp_path / "adult").write_text(f"|1x3 Cross validator\n{FIRST}\n{LAST}\n\n")
    found = read(tmp_path / "adult")
    # The first line of LIBSVM's a9a.
    assert (found["col"][:14] + 1).tolist() == [
        3,
        11,
        14,
        19,
        39,
        42,
        55,
        64,
        67,
        73,
        75,
        76,
        80,
        83,
    ]
    assert found["crow"].tolist() == [0, 14, 27]
    assert found["labels"].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (FIRST.replace("White", "Green"), "race has no value 'Green'"),
        (FIRST.replace("39,", "old,"), "'old'"),
        (FIRST.replace("<=50K", "rich"), "income 'rich', allowed are"),
        ("1, 2", "2 fields, expected 15"),
    ],
)
def test_malformed_rows_are_named(tmp_path, line, message):
    (tmp_path / "adult").write_text(f"{FIRST}\n{line}\n")
    with pytest.raises(DataCorrupt, match=f"adult, line 2: .*{message}"):
        read(tmp_path / "adult")
