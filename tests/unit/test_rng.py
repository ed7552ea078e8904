"""Named randomness: a child depends on the root and its own name, on nothing else."""

from __future__ import annotations

import torch

from wiregrad.core.rng import Seeds


def test_names_and_roots_give_different_streams():
    names = [("data",), ("init",), ("worker", 1), ("worker", 11), ("worker", 1, "1")]
    seeds = {Seeds(root).seed(*name) for root in (0, 1) for name in names}
    assert len(seeds) == 2 * len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_stream_is_the_same_on_every_machine():
    assert Seeds(0).seed("compressor", "uplink", 3) == 7995122712278138063


def test_scope_gives_a_stream_and_restores_the_global_one():
    before = torch.get_rng_state()
    with Seeds(0).scope("init"):
        one = torch.rand(3)
    with Seeds(0).scope("init"):
        two = torch.rand(3)
    with Seeds(1).scope("init"):
        other = torch.rand(3)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
