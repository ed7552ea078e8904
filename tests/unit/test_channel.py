"""The channel's verbs, on the simulated and on the wire channel."""

from typing import Any

import pytest
import torch

from wiregrad.comm.accounting import convention
from wiregrad.comm.channel import NO_MESSAGE, Channel
from wiregrad.comm.link import Link, Links
from wiregrad.comm.wire_channel import WireChannel
from wiregrad.compressors import registry
from wiregrad.compressors.base import decode
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step
from wiregrad.methods import registry as methods
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.runtimes.base import tensors_of
from wiregrad.runtimes.simulated import Simulated, SimulatedChannel
from wiregrad.wire import CorruptPayload, Payload

N, D = 5, 12
LAYOUT = Layout(("a", "b"), ((4, 2), (4,)))
LIKE = torch.zeros(D, dtype=torch.float64)
TOP_1, TOP_3, SIGN = (
    registry.build(spec)
    for spec in ({"name": "top_k", "k": 1}, {"name": "top_k", "k": 3}, {"name": "scaled_sign"})
)
QSGD = registry.build({"name": "qsgd", "levels": 3})


def link(senders: range, blocks: str = "whole") -> Link:
    return Links(LAYOUT, blocks, convention("formula"), Seeds(3), LIKE.device).uplink(senders)


def simulated(blocks: str = "whole") -> SimulatedChannel:
    channel = SimulatedChannel(link(range(N), blocks), LIKE)
    channel.open(measure=True)
    return channel


def wired(sender: int, blocks: str = "whole") -> WireChannel:
    channel = WireChannel(link(range(sender, sender + 1), blocks))
    channel.open(measure=True)
    return channel


def rows(seed: int = 0) -> torch.Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def received(channel: WireChannel) -> tuple[torch.Tensor, int]:
    payload = Payload.from_bytes(channel.data, numel=D)
    return (decode(payload) if payload.codec else torch.zeros_like(LIKE)), payload.tag


def speak(channel: Channel, how: str, x: torch.Tensor, mine: slice) -> torch.Tensor:
    where = torch.tensor([True, False, True, True, False])[mine]
    if how == "all":
        return channel(QSGD, x)
    if how == "where":
        return channel(QSGD, x, where=where)
    if how == "tag":
        return channel(SIGN, x, where=where, tag=torch.arange(N)[mine] * 3)
    bound = x.square().sum(-1) * torch.linspace(0.9, 0.2, N, dtype=torch.float64)[mine]

    def accept(decoded: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return (decoded - x[which]).square().sum(-1) <= bound[which]

    return channel.cascade([TOP_1, QSGD, TOP_3], x, accept, where=where)


@pytest.mark.parametrize("how", ["all", "where", "tag", "cascade"])
@pytest.mark.parametrize("blocks", ["whole", "per_tensor"])
def test_what_is_received_is_what_the_bytes_say(how: str, blocks: str) -> None:
    x = rows()
    together = simulated(blocks)
    decoded = speak(together, how, x, slice(0, N))
    arrived = together.received
    assert torch.equal(arrived.rows(), decoded)
    wire_bits = paper_bits = 0
    for i in range(N):
        alone = wired(i, blocks)
        said = speak(alone, how, x[i : i + 1], slice(i, i + 1))
        vector, tag = received(alone)
        assert torch.equal(said[0], vector)
        assert torch.equal(vector, decoded[i])
        assert tag == int(arrived.tags[i])
        assert bool(arrived.sent[i]) == (len(alone.data) > 5)
        assert int(alone.choices[0]) == int(together.choices[i])
        wire_bits += 8 * len(alone.data)
        paper_bits += alone.paper_bits
    assert (together.meter.wire, together.meter.paper) == (wire_bits, paper_bits)


def test_the_mean_adds_rows_in_the_order_of_their_senders() -> None:
    for how in ("all", "where", "cascade"):
        channel = simulated()
        decoded = speak(channel, how, rows(1), slice(0, N))
        total = torch.zeros_like(LIKE)
        for row in decoded:
            total += row
        assert torch.equal(channel.received.mean(0), total / N)


def test_pieces_are_received_in_the_order_in_which_they_are_sent() -> None:
    channel, x = simulated(), rows(2)
    for piece in x[:, None].unbind():
        channel(TOP_3, piece)
    whole = simulated()
    whole(TOP_3, x)
    assert torch.equal(channel.received.rows(), whole.received.rows())
    assert torch.equal(channel.received.mean(0), whole.received.mean(0))


def test_a_cascade_sends_the_first_that_will_do_and_else_the_last() -> None:
    channel, x = simulated(), rows(3)
    seen: list[list[int]] = []

    def accept(decoded: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        seen.append(which.tolist())
        assert decoded.shape == (len(which), D)
        return which == len(seen)

    decoded = channel.cascade(
        [TOP_1, SIGN, TOP_3], x, accept, where=torch.tensor([True, True, True, False, True])
    )
    assert seen == [[0, 1, 2, 4], [0, 2, 4]]
    assert channel.choices.tolist() == [2, 0, 1, NO_MESSAGE, 2]
    assert (decoded != 0).sum(-1).tolist() == [3, 1, D, 0, 3]
    costs = [c.blocked(LAYOUT, "whole").roundtrip(x[:1]).wire_bits[0] for c in (TOP_3, TOP_1, SIGN)]
    assert channel.meter.wire == 2 * costs[0] + costs[1] + costs[2] + 8 * 5


def test_leading_dimensions_are_a_batch_of_runs() -> None:
    x = rows(4)
    flat, shaped = simulated(), simulated()
    batch = torch.cat([x, x[:1]])[:4].view(2, 2, D)
    assert torch.equal(shaped(QSGD, batch).view(4, D), flat(QSGD, batch.view(4, D)))


def test_error_feedback_measures_what_it_leaves() -> None:
    x, residual = rows(5), rows(6)
    channel, before = simulated(), x + residual
    channel.error_feedback(TOP_3, x, residual)
    left = residual.square().sum(-1) / before.square().sum(-1)
    assert channel.compression_error() == pytest.approx(float(left.mean()), rel=1e-12)
    plain = simulated()
    plain(TOP_3, before)
    assert plain.compression_error() == pytest.approx(channel.compression_error(), rel=1e-12)


def test_an_error_can_be_relative_to_what_is_tracked():
    channel, tracked, held = simulated(), rows(1), rows(2)
    left = channel(TOP_3, tracked - held, relative_to=tracked) + held - tracked
    expected = (left.square().sum(-1) / tracked.square().sum(-1)).mean()
    assert channel.compression_error() == pytest.approx(float(expected), rel=1e-12)


def test_a_message_is_priced_as_that_of_another_compressor() -> None:
    """Charged as the other one would have sent this very vector, not some vector of its size."""
    ternary = registry.build({"name": "top_k", "ratio": 0.5, "select": "quantile"})
    channel, x = simulated(), rows(7)
    channel.dense(x, priced_as=ternary)
    expected = sum(ternary.blocked(LAYOUT, "whole").roundtrip(x).body_bits)
    assert channel.meter.paper == expected > 0


def test_a_tag_crosses_the_wire() -> None:
    payload = SIGN.compress(rows()[0])
    marked = Payload(payload.codec, payload.dtype, payload.blocks, payload.body, tag=9)
    assert Payload.from_bytes(marked.to_bytes()) == marked
    assert len(marked.to_bytes()) == len(payload.to_bytes())
    empty = bytearray(Payload.empty(torch.float32).to_bytes())
    empty[4] |= 0x10
    with pytest.raises(CorruptPayload, match="tag"):
        Payload.from_bytes(bytes(empty))


class Six(Problem):
    """Six workers with gradients of their own, computed two at a time."""

    dtype, device = torch.float32, torch.device("cpu")
    train_size = samples_per_step = steps_per_epoch = 1
    workers, layout = 6, LAYOUT

    def __init__(self, together: int) -> None:
        self.together, self.largest = together, 0

    def x0(self) -> torch.Tensor:
        return torch.zeros(D)

    def worker_groups(self) -> list[range]:
        return [range(i, i + self.together) for i in range(0, 6, self.together)]

    def gradients(self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Any) -> None:
        self.largest = max(self.largest, len(out))
        for row, worker in zip(out, workers, strict=True):
            generator = torch.Generator().manual_seed(100 * step + worker)
            row.copy_(x + torch.randn(D, generator=generator))

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        return Evaluation()


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ({"name": "comp_ams", "compressor": {"name": "block_sign"}}, 2),
        ({"name": "comp_ams", "compressor": {"name": "top_k", "k": 3}, "shared_state": True}, 2),
        ({"name": "comp_ams", "compressor": {"name": "qsgd", "levels": 4}}, 2),
        ({"name": "qadam"}, 2),
        ({"name": "ef21", "compressor": {"name": "top_k", "k": 3}}, 6),  # its first round is dense
        ({"name": "dist_ams"}, 6),
    ],
)
def test_workers_in_turn_say_what_they_say_together(method: dict, rows: int) -> None:
    """In one small buffer where messages are compressed; to the bit, whatever was computed when."""
    runs = [
        Simulated(Six(each), methods.build({"lr": 0.1} | method), Seeds(1), convention("formula"))
        for each in (2, 6)
    ]
    for t in range(1, 6):
        for run in runs:
            run.round(Step(t, 5, 0.1), measure=t % 2 == 0)
        few, all_ = runs
        assert torch.equal(few.x, all_.x)
        assert few.bits() == all_.bits()
        errors = few.compression_error(), all_.compression_error()
        assert errors[0] == errors[1] or t % 2
    for name, value in tensors_of(runs[0].state.workers).items():
        assert torch.equal(value, getattr(runs[1].state.workers, name))
    assert runs[0].problem.largest == rows
