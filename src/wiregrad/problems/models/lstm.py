"""The LSTM classifier of COMP-AMS on IMDB, with a gradient per worker from one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from wiregrad.problems.models.stacked import Context, Embedding, Grad, Linear

PADDING = 0
"""Token that fills a review up at its end; it occurs nowhere else."""

NEGLIGIBLE = 1e-25
"""Smaller gradients that are carried back in time become zero.

Far below what float32 resolves in the sum that they enter; left alone they decay to denormal
numbers, with which arithmetic is some thirty times slower.
"""


@dataclass(frozen=True)
class Packing:
    """Which words there are in `[b, length]` tokens, step by step, longest sequence first.

    At step t the first `sizes[t]` sequences of `order` still run, so that the entries of a step
    lie one after the other and those of running sequences are a prefix. P is the number of words.
    """

    order: torch.Tensor
    """The sequences by falling length, `[b]`."""
    sizes: list[int]
    """Running sequences at each step."""
    sequence: torch.Tensor
    """The sequence of each entry, `[P]`."""
    tokens: torch.Tensor
    """The token of each entry, `[P]`."""

    @staticmethod
    def of(tokens: torch.Tensor) -> Packing:
        """The packing of int tokens `[b, length]` that are padded at the end."""
        lengths = (tokens != PADDING).sum(1)
        order = lengths.argsort(descending=True, stable=True)
        running = lengths[order] > torch.arange(int(lengths.max()), device=tokens.device)[:, None]
        step, place = running.nonzero(as_tuple=True)
        sequence = order[place]
        return Packing(
            order, running.sum(1).tolist(), sequence, tokens[sequence, step].to(torch.int64)
        )


class LSTM(nn.LSTM):
    """A one-layer `nn.LSTM` of which the last state of each sequence is wanted.

    Takes stacked weights too (see `wiregrad.problems.models.stacked`).
    """

    def forward(  # type: ignore[override]
        self,
        input: torch.Tensor,  # noqa: A002 - the base class's name
        packing: Packing,
    ) -> torch.Tensor:
        """Entries `[P, e]` to the last hidden states `[b, hidden]`, in the order of the batch."""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(self, name) for name in names]
        if weights[0].dim() == 2:
            weights = [weight[None] for weight in weights]
        result: torch.Tensor = _LSTM.apply(input, packing, *weights)
        return result


class _LSTM(torch.autograd.Function):
    """h_t = o·tanh(c_t), c_t = f·c_{t−1} + i·g, with gates i, f, o = σ(·), g = tanh(·).

    Within, gates are in the order i, f, o, g (torch's is i, f, g, o), so that one call takes the
    sigmoid of three. All of the arrays `[P, ...]` are packed.
    """

    @staticmethod
    def forward(
        ctx: Context,
        entries: torch.Tensor,
        packing: Packing,
        w_ih: torch.Tensor,
        w_hh: torch.Tensor,
        b_ih: torch.Tensor,
        b_hh: torch.Tensor,
    ) -> torch.Tensor:
        hidden = w_hh.shape[2]
        inward, recurrent = _reorder(w_ih[0]), _reorder(w_hh[0])
        gates = torch.addmm(_reorder(b_ih[0] + b_hh[0]), entries, inward.T)
        cells, squashed, states = (gates.new_empty(len(gates), hidden) for _ in range(3))
        h = gates.new_zeros(len(packing.order), hidden)
        c = torch.zeros_like(h)
        start = 0
        for size in packing.sizes:
            now = slice(start, start + size)
            gate, c_now, h_now = gates[now], c[:size], h[:size]
            gate.addmm_(h_now, recurrent.T)
            gate[:, : 3 * hidden].sigmoid_()
            gate[:, 3 * hidden :].tanh_()
            i, f, o, g = gate.chunk(4, dim=1)
            states[now] = h_now  # the state before the step, for the gradient of w_hh
            c_now.mul_(f).addcmul_(i, g)
            cells[now] = c_now
            torch.tanh(c_now, out=squashed[now])
            torch.mul(o, squashed[now], out=h_now)
            start += size
        ctx.save_for_backward(entries, w_ih, w_hh, gates, cells, squashed, states)
        ctx.packing = packing
        return torch.empty_like(h).index_copy_(0, packing.order, h)

    @staticmethod
    def backward(ctx: Context, grad: torch.Tensor) -> tuple[Grad, None, Grad, Grad, Grad, Grad]:
        entries, w_ih, w_hh, gates, cells, squashed, states = ctx.saved_tensors
        packing: Packing = ctx.packing
        recurrent = _reorder(w_hh[0])
        delta = torch.empty_like(gates)
        dh = grad[packing.order]
        dc = torch.zeros_like(dh)
        stop = len(gates)
        for t in reversed(range(len(packing.sizes))):
            size = packing.sizes[t]
            now = slice(stop - size, stop)
            before = stop - size - packing.sizes[t - 1] if t else 0
            c_before = cells[before : before + size] if t else None
            _gate_gradients(gates[now], squashed[now], c_before, dh[:size], dc[:size], delta[now])
            torch.mm(delta[now], recurrent, out=dh[:size])
            for carried in (dh[:size], dc[:size]):
                torch.ops.aten.hardshrink.out(carried, NEGLIGIBLE, out=carried)
            stop -= size
        m = len(w_ih)
        worker = packing.sequence // (len(dh) // m)
        entries_each = torch.bincount(worker, minlength=m).tolist()
        by_worker = torch.split(worker.argsort(stable=True), entries_each)
        d_ih, d_hh = torch.empty_like(w_ih), torch.empty_like(w_hh)
        d_b = gates.new_empty(m, 4 * dh.shape[1])
        for row, chosen in enumerate(by_worker):
            mine = delta[chosen]
            d_ih[row] = _reorder(mine.T @ entries[chosen])
            d_hh[row] = _reorder(mine.T @ states[chosen])
            d_b[row] = _reorder(mine.sum(0))
        down = delta @ _reorder(w_ih[0]) if ctx.needs_input_grad[0] else None
        return down, None, d_ih, d_hh, d_b, d_b


def _gate_gradients(
    gate: torch.Tensor,
    squashed: torch.Tensor,
    c_before: torch.Tensor | None,
    dh: torch.Tensor,
    dc: torch.Tensor,
    out: torch.Tensor,
) -> None:
    """Gradients of a step's gates, before their non-linearities, to `out`.

    `dc`, the gradient of the step's cells from the steps after it, becomes that of the step before.
    """
    hidden = dh.shape[1]
    i, f, o, g = gate.chunk(4, dim=1)
    d_i, d_f, d_o, d_g = out.chunk(4, dim=1)
    dc += torch.ops.aten.tanh_backward(dh * o, squashed)
    torch.mul(dc, g, out=d_i)
    if c_before is None:
        d_f.zero_()
    else:
        torch.mul(dc, c_before, out=d_f)
    torch.mul(dh, squashed, out=d_o)
    torch.mul(dc, i, out=d_g)
    dc *= f
    smooth, rest = slice(0, 3 * hidden), slice(3 * hidden, None)
    torch.ops.aten.sigmoid_backward.grad_input(
        out[:, smooth], gate[:, smooth], grad_input=out[:, smooth]
    )
    torch.ops.aten.tanh_backward.grad_input(d_g, gate[:, rest], grad_input=d_g)


def _reorder(weight: torch.Tensor) -> torch.Tensor:
    """Rows of gates i, f, g, o to i, f, o, g; it undoes itself."""
    i, f, g, o = weight.chunk(4)
    return torch.cat([i, f, o, g])


class ReviewLSTM(nn.Module):
    """Embedding → LSTM → its output at the last word → fc → ReLU → fc, for tokens `[b, length]`.

    The embedding has a row for padding (0), one for all unknown words (1) and one for each word of
    the vocabulary; the padding row is never read, so its gradient is zero. The text names "two
    fully connected layers"; the ReLU between them is ours, without it they would be one.
    """

    stacked = True

    def __init__(self, words: int, embedding: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.embedding = Embedding(words + 2, embedding, padding_idx=PADDING)
        self.lstm = LSTM(embedding, hidden)
        self.fc1 = Linear(hidden, hidden)
        self.fc2 = Linear(hidden, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[b, 2]`."""
        packing = Packing.of(tokens)
        weight = self.embedding.weight
        m = len(weight) if weight.dim() == 3 else 1
        workers = packing.sequence // (len(tokens) // m)
        last = self.lstm(self.embedding(packing.tokens, workers), packing)
        logits: torch.Tensor = self.fc2(self.fc1(last).relu())
        return logits
