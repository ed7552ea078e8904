"""How a training set is cut."""

import pytest
import torch

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.data.splits import EpochBatches, contiguous, held_out


def test_contiguous_parts_and_their_remainder():
    assert contiguous(11, 3) == [slice(0, 3), slice(3, 6), slice(6, 11)]
    assert contiguous(11, 3, "drop") == [slice(0, 3), slice(3, 6), slice(6, 9)]
    # where n divides N nothing is dropped (the published code emptied the data here)
    assert contiguous(12, 3, "drop")[-1] == slice(8, 12)


def test_validation_is_disjoint_and_a_limit_is_a_beginning():
    train, valid = held_out(100, None, 0.1)
    assert (len(train), len(valid)) == (90, 10)
    assert sorted(torch.cat([train, valid]).tolist()) == list(range(100))
    limited, held = held_out(100, 40, 0.25)
    assert (len(limited), len(held)) == (30, 10)
    assert torch.equal(torch.cat([limited, held]), held_out(100)[0][:40])


def test_sets_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"problem.train_limit: 11 is above the 10 rows"):
        held_out(10, 11)
    with pytest.raises(ConfigError, match=r"problem.valid_fraction: 0.01 of 10 rows"):
        held_out(10, None, 0.01)
    with pytest.raises(ConfigError, match=r"problem.batch: 4 workers x 3 is more than the 11"):
        EpochBatches(11, 4, 3, Seeds(0))


def test_an_epoch_is_a_permutation_cut_among_workers():
    batches = EpochBatches(50, 3, 4, Seeds(5))
    assert (batches.per_step, batches.per_epoch) == (12, 4)
    first = torch.cat([batches.rows(w, step) for step in range(1, 5) for w in range(3)])
    second = torch.cat([batches.rows(w, step) for step in range(5, 9) for w in range(3)])
    order = torch.randperm(50, generator=Seeds(5).generator("data", "epoch", 1))
    assert len(set(first.tolist())) == 48
    assert torch.equal(second, order[:48])
    assert not torch.equal(first, second)
    # never on earlier calls
    assert torch.equal(EpochBatches(50, 3, 4, Seeds(5)).rows(1, 6), second[16:20])
    assert torch.equal(batches.rows(0, 1), first[:4])
