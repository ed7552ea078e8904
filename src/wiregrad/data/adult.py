"""a9a rebuilt from the Adult table (UCI): 14 columns become 123 indicator features.

The rule was found by comparing the table with LIBSVM's a9a and a9a.t, row by row, and reproduces
both exactly. A continuous column is divided into bins (quintiles of the training half; capital gain
and loss: zero and positive). A categorical one has a feature for each value except "?", in the
order of adult.names. Features are in the order of the columns.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_bytes
from wiregrad.data.libsvm import csr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS: dict[str, tuple[int, ...] | tuple[str, ...]] = {
    "age": (26, 33, 41, 50),
    "workclass": (
        *("Private", "Self-emp-not-inc", "Self-emp-inc", "Federal-gov", "Local-gov", "State-gov"),
        *("Without-pay", "Never-worked"),
    ),
    "fnlwgt": (106648, 158662, 196338, 259873),
    "education": (
        *("Bachelors", "Some-college", "11th", "HS-grad", "Prof-school", "Assoc-acdm"),
        *("Assoc-voc", "9th", "7th-8th", "12th", "Masters", "1st-4th", "10th", "Doctorate"),
        *("5th-6th", "Preschool"),
    ),
    "education-num": (9, 10, 11, 13),
    "marital-status": (
        *("Married-civ-spouse", "Divorced", "Never-married", "Separated", "Widowed"),
        *("Married-spouse-absent", "Married-AF-spouse"),
    ),
    "occupation": (
        *("Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial"),
        *("Prof-specialty", "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical"),
        *("Farming-fishing", "Transport-moving", "Priv-house-serv", "Protective-serv"),
        "Armed-Forces",
    ),
    "relationship": (
        *("Wife", "Own-child", "Husband", "Not-in-family", "Other-relative", "Unmarried"),
    ),
    "race": ("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other", "Black"),
    "sex": ("Female", "Male"),
    "capital-gain": (1,),
    "capital-loss": (1,),
    "hours-per-week": (35, 40, 41, 48),
    "native-country": (
        *("United-States", "Cambodia", "England", "Puerto-Rico", "Canada", "Germany"),
        *("Outlying-US(Guam-USVI-etc)", "India", "Japan", "Greece", "South", "China", "Cuba"),
        *("Iran", "Honduras", "Philippines", "Italy", "Poland", "Jamaica", "Vietnam", "Mexico"),
        *("Portugal", "Ireland", "France", "Dominican-Republic", "Laos", "Ecuador", "Taiwan"),
        *("Haiti", "Columbia", "Hungary", "Guatemala", "Nicaragua", "Scotland", "Thailand"),
        *("Yugoslavia", "El-Salvador", "Trinadad&Tobago", "Peru", "Hong", "Holand-Netherlands"),
    ),
}
"""Column -> the lower ends of its bins except the first, or its values in the order of features."""


def read_adult(
    files: Mapping[str, Path],
    *,
    features: int,
    task: str,
    sha256: str | None = None,
    rows: int | None = None,
) -> Arrays:
    """Format ``adult``: the LIBSVM set that was made from `adult.data` or `adult.test`.

    Args:
        files: The table under the role ``data``.
        features: Number of columns of the LIBSVM set, 123.
        task: "binary".
        sha256: Of the LIBSVM text, which this reader does not see; ignored.
        rows: Ignored for the same reason. The digest of the arrays shows that they are right.

    Returns:
        The arrays of `wiregrad.data.libsvm.read_libsvm`.

    Raises:
        DataCorrupt: A row is not one of the Adult table; the message names the line.
    """
    del sha256, rows
    path = files["data"]
    labels: list[float] = []
    ends: list[int] = []
    columns: list[int] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line or line.startswith("|"):  # adult.test begins with a comment
            continue
        fields = [field.strip() for field in line.split(",")]
        try:
            labels.append(_label(fields))
            columns += _row(fields)
        except ValueError as error:
            raise DataCorrupt(f"{path}, line {number}: {error}") from None
        ends.append(len(columns))
    table = (labels, ends, columns, [1.0] * len(columns))
    return csr(table, path, features=features, task=task)


def _lines(path: Path) -> list[str]:
    return read_bytes(path).decode("ascii", errors="replace").splitlines()


def _label(fields: list[str]) -> float:
    if len(fields) != len(COLUMNS) + 1:
        raise ValueError(f"{len(fields)} fields, expected {len(COLUMNS) + 1}")
    try:
        return {"<=50K": -1.0, ">50K": 1.0}[fields[-1].removesuffix(".")]
    except KeyError:
        raise ValueError(f"income {fields[-1]!r}, allowed are <=50K and >50K") from None


def _row(fields: list[str]) -> list[int]:
    """The columns (from 0) of the features that are 1 in a row."""
    present = []
    first = 0
    for (name, kinds), field in zip(COLUMNS.items(), fields, strict=False):
        if isinstance(kinds[0], int):
            present.append(first + bisect_right(kinds, int(field)))
            first += len(kinds) + 1
        else:
            if field in kinds:
                present.append(first + kinds.index(field))
            elif field != "?":
                raise ValueError(f"{name} has no value {field!r}")
            first += len(kinds)
    return present
