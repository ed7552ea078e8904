"""The LSTM classifier of COMP-AMS on IMDB, with one gradient per worker from a single pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from wiregrad.problems.models.per_worker import (
    Context,
    Embedding,
    Grad,
    Linear,
    PerWorker,
    Rows,
    to_autocast_type,
)

PADDING = 0
"""The token that pads a review at its end; it occurs nowhere else."""

NEGLIGIBLE = 1e-25
"""Gradients that are carried back in time become zero below this absolute value.

This is far below what float32 resolves in the sums that they enter. Without the limit they decay
to denormal numbers, with which arithmetic is about thirty times slower.
"""


@dataclass(frozen=True)
class Packing:
    """The words of tokens `[b, length]`, ordered by step, within a step by falling length.

    An entry is one word; P is their number. At step t the first `sizes[t]` sequences of `order` are
    not over yet. The entries of a step are contiguous, and those that go on are a prefix of them.
    """

    order: torch.Tensor
    """The sequences by falling length, int64 `[b]`."""
    sizes: list[int]
    """Number of sequences that are not over, for each step."""
    sequence: torch.Tensor
    """The sequence of each entry, `[P]`."""
    tokens: torch.Tensor
    """The token of each entry, `[P]`."""
    before: torch.Tensor
    """The entry one step earlier in the same sequence, `[P]`; negative for a first word."""
    last: torch.Tensor
    """The entry of the last word of each sequence, `[b]`, in the order of the batch."""

    @staticmethod
    def of(tokens: torch.Tensor) -> Packing:
        """Pack integer tokens `[b, length]`, padded at the end, with at least one word each."""
        lengths = (tokens != PADDING).sum(1)
        order = lengths.argsort(descending=True, stable=True)
        steps = torch.arange(int(lengths.max()), device=tokens.device)
        running = lengths[order] > steps[:, None]
        sizes = running.sum(1)
        step, place = running.nonzero(as_tuple=True)
        sequence = order[place]
        starts = sizes.cumsum(0) - sizes
        return Packing(
            order,
            sizes.tolist(),
            sequence,
            tokens[sequence, step].to(torch.int64),
            torch.arange(len(step), device=tokens.device) - sizes.roll(1)[step],
            starts[lengths - 1] + order.argsort(),
        )


class LSTM(PerWorker, nn.LSTM):
    """A one-layer `nn.LSTM` that returns the last hidden state of each sequence.

    It computes one gradient per worker where `rows` are set
    (see `wiregrad.problems.models.per_worker`).
    """

    def forward(  # type: ignore[override]
        self,
        entries: torch.Tensor,
        packing: Packing,
    ) -> torch.Tensor:
        """Entries `[P, e]` to the last hidden states `[b, hidden]`, in the order of the batch."""
        weights = [getattr(self, name) for name in _WEIGHTS]
        result: torch.Tensor = _LSTM.apply(packing, self.rows, *to_autocast_type(entries, *weights))
        return result


_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class _LSTM(torch.autograd.Function):
    """h_t = o·tanh(c_t), c_t = f·c_{t−1} + i·g, with gates i, f, o = σ(·), g = tanh(·).

    Internally the gates are in the order i, f, o, g (torch's is i, f, g, o), so that one call
    takes the sigmoid of three of them. All arrays `[P, ...]` are packed.
    """

    @staticmethod
    def forward(
        ctx: Context,
        packing: Packing,
        rows: Rows | None,
        entries: torch.Tensor,
        w_ih: torch.Tensor,
        w_hh: torch.Tensor,
        b_ih: torch.Tensor,
        b_hh: torch.Tensor,
    ) -> torch.Tensor:
        sizes, hidden = packing.sizes, w_hh.shape[1]
        recurrent = _reorder(w_hh).T
        gates = torch.addmm(_reorder(b_ih + b_hh), entries, _reorder(w_ih).T)
        cells, squashed, states = (gates.new_empty(len(gates), hidden) for _ in range(3))
        smooth = torch.split(gates[:, : 3 * hidden], sizes)
        i, f, o, g = (torch.split(part, sizes) for part in gates.chunk(4, dim=1))
        cell, tanh_cell, state = (torch.split(a, sizes) for a in (cells, squashed, states))
        for t, (size, gate) in enumerate(zip(sizes, torch.split(gates, sizes), strict=True)):
            if t:
                gate.addmm_(state[t - 1][:size], recurrent)
            smooth[t].sigmoid_()
            g[t].tanh_()
            torch.mul(i[t], g[t], out=cell[t])
            if t:
                cell[t].addcmul_(f[t], cell[t - 1][:size])
            torch.tanh(cell[t], out=tanh_cell[t])
            torch.mul(o[t], tanh_cell[t], out=state[t])
        ctx.save_for_backward(entries, w_ih, w_hh, gates, cells, squashed, states)
        ctx.packing, ctx.rows = packing, rows
        return states[packing.last]

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, ...]:
        entries, w_ih, w_hh, gates, cells, squashed, states = ctx.saved_tensors
        packing: Packing = ctx.packing
        delta = _gate_gradients(packing, grad, _reorder(w_hh), gates, cells, squashed)
        down = delta @ _reorder(w_ih) if ctx.needs_input_grad[2] else None
        if ctx.rows is not None:
            _weight_gradients(packing, delta, entries, states, [ctx.rows[n] for n in _WEIGHTS])
            return None, None, down, None, None, None, None
        shapes = (w_ih, w_hh, w_ih[:, 0], w_ih[:, 0])
        single = [torch.empty_like(like)[None] for like in shapes]
        _weight_gradients(packing, delta, entries, states, single)
        return None, None, down, *(weight[0] for weight in single)


def _weight_gradients(
    packing: Packing,
    delta: torch.Tensor,
    entries: torch.Tensor,
    states: torch.Tensor,
    out: Sequence[torch.Tensor],
) -> None:
    """Write the gradients `[m, ...]` of the four weights from those of the gates, by worker."""
    m, sequences = len(out[0]), len(packing.order)
    worker = packing.sequence // (sequences // m)
    words = torch.bincount(worker, minlength=m).tolist()
    first = sequences // m  # a worker's first entries, those of step 0, have no state before
    for row, chosen in enumerate(torch.split(worker.argsort(stable=True), words)):
        mine = delta[chosen]
        d_ih, d_hh, *biases = (weight[row] for weight in out)
        d_ih.copy_(_reorder(mine.T @ entries[chosen]))
        d_hh.copy_(_reorder(mine[first:].T @ states[packing.before[chosen[first:]]]))
        for bias in biases:
            bias.copy_(_reorder(mine.sum(0)))


def _gate_gradients(
    packing: Packing,
    grad: torch.Tensor,
    recurrent: torch.Tensor,
    gates: torch.Tensor,
    cells: torch.Tensor,
    squashed: torch.Tensor,
) -> torch.Tensor:
    """Gradients `[P, 4 * hidden]` with respect to the gates before their non-linearities.

    `grad` `[b, hidden]` is the gradient with respect to the last states. The loop goes back in
    time and carries the gradients of the sequences that are not over; a sequence enters at its last
    word, with its row of `grad`.
    """
    sizes, hidden = packing.sizes, grad.shape[1]
    delta = torch.empty_like(gates)
    smooth, smooth_out = (torch.split(a[:, : 3 * hidden], sizes) for a in (gates, delta))
    i, f, o, g = (torch.split(part, sizes) for part in gates.chunk(4, dim=1))
    d_i, d_f, d_o, d_g = (torch.split(part, sizes) for part in delta.chunk(4, dim=1))
    cell, tanh_cell, out = (torch.split(a, sizes) for a in (cells, squashed, delta))
    dh_all = grad[packing.order]
    dc_all = torch.zeros_like(dh_all)
    aten = torch.ops.aten
    for t in reversed(range(len(sizes))):
        dh, dc = dh_all[: sizes[t]], dc_all[: sizes[t]]
        dc += aten.tanh_backward(dh * o[t], tanh_cell[t])
        torch.mul(dc, g[t], out=d_i[t])
        torch.mul(dh, tanh_cell[t], out=d_o[t])
        torch.mul(dc, i[t], out=d_g[t])
        if t:
            torch.mul(dc, cell[t - 1][: sizes[t]], out=d_f[t])
        else:
            d_f[t].zero_()
        aten.sigmoid_backward.grad_input(smooth_out[t], smooth[t], grad_input=smooth_out[t])
        aten.tanh_backward.grad_input(d_g[t], g[t], grad_input=d_g[t])
        dc *= f[t]
        torch.mm(out[t], recurrent, out=dh)
        for carried in (dh, dc):
            aten.hardshrink.out(carried, NEGLIGIBLE, out=carried)
    return delta


def _reorder(weight: torch.Tensor) -> torch.Tensor:
    """Reorder the rows of gates i, f, g, o to i, f, o, g; its own inverse."""
    i, f, g, o = weight.chunk(4)
    return torch.cat([i, f, o, g])


class ReviewLSTM(nn.Module):
    """Embedding → LSTM, last output → fc → ReLU → fc, for tokens `[b, length]`.

    The embedding has a row for padding (0), one for all unknown words (1) and one for each word of
    the vocabulary; the padding row is never read, so that its gradient is zero. The paper names
    "two fully connected layers"; the ReLU between them is our addition, without which they would
    equal one layer.

    Args:
        words: Size of the vocabulary.
        embedding: Width of the embedding.
        hidden: Width of the LSTM and of the first fully connected layer.
    """

    per_pass_of_16 = 8

    def __init__(self, words: int, embedding: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.embedding = Embedding(words + 2, embedding, padding_idx=PADDING)
        self.lstm = LSTM(embedding, hidden)
        self.fc1 = Linear(hidden, hidden)
        self.fc2 = Linear(hidden, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[b, 2]`."""
        packing = Packing.of(tokens)
        rows = self.embedding.rows
        m = 1 if rows is None else len(rows["weight"])
        workers = packing.sequence // (len(tokens) // m)
        last = self.lstm(self.embedding(packing.tokens, workers), packing)
        logits: torch.Tensor = self.fc2(self.fc1(last).relu())
        return logits
