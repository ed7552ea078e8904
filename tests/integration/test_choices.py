"""What each worker chose, round by round: agrees with the bits, survives an interruption."""

import numpy as np
import pytest

from wiregrad.core.errors import RecordError
from wiregrad.core.files import sha256_file, write_text
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute

WORKERS, DIM, LEVELS = 4, 30, (1, 5, 30)
ADACGD = {
    "name": "adacgd",
    "zeta": 1.0,
    "lr": 0.5,
    "compressors": [{"name": "top_k", "k": k} for k in LEVELS],
}


def config(method=ADACGD, steps=60):
    return RunConfig.parse(
        {
            "problem": {"name": "quadratic", "dim": DIM, "noise": 0.8},
            "method": method,
            "runtime": {"workers": WORKERS},
            "budget": {"steps": steps},
            "log": {"convention": "values"},
            "seed": 1,
        }
    )


def test_the_bits_of_a_run_are_those_of_the_choices(tmp_path):
    card = execute(config(), tmp_path)
    choices = record.read_choices(tmp_path / record.CHOICES)
    assert card.choices_sha256 == sha256_file(tmp_path / record.CHOICES)
    assert choices.shape == (60, WORKERS)
    assert set(np.unique(choices)) == {-1, 0, 1, 2}
    prices = np.array([*(32 * k for k in LEVELS), 0])  # -1 picks the last
    spent = prices[choices].sum(axis=1)
    spent[0] = WORKERS * 32 * DIM  # round 1: the exact gradients
    bits = record.read_history(tmp_path / record.HISTORY)["uplink_bits_paper"].to_numpy()
    assert (bits[1:] == np.cumsum(spent) // WORKERS).all()


def test_an_interrupted_run_leaves_the_same_choices(tmp_path):
    execute(config(), tmp_path / "whole")

    def interrupt(done, _total, _row):
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(config(), tmp_path / "cut", checkpoint_seconds=0, progress=interrupt)
    execute(config(), tmp_path / "cut", checkpoint_seconds=0)
    for name in (record.CHOICES, record.HISTORY):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_without_a_choice_there_is_no_table(tmp_path):
    card = execute(config({"name": "dist_sgd", "lr": 0.05}, steps=3), tmp_path)
    assert card.choices_sha256 is None
    assert not (tmp_path / record.CHOICES).exists()


def test_a_damaged_table_is_told(tmp_path):
    path = tmp_path / record.CHOICES
    record.write_choices(path, np.array([[0, -1], [1, 0]], dtype=np.int8))
    assert record.read_choices(path).tolist() == [[0, -1], [1, 0]]
    write_text(path, "no table")
    with pytest.raises(RecordError, match=r"choices.parquet: not readable choices"):
        record.read_choices(path)
