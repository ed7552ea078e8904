"""Language models: a decoder of the form of GPT-2, and an LSTM; logits of every next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from wiregrad.problems.models.pretrained import use_own_dropout

Size = Literal["small", "medium", "large"]


@dataclass(frozen=True)
class DecoderShape:
    """Of a decoder: its layers, its heads, and the width of its states."""

    layers: int
    heads: int
    width: int


SHAPES: dict[Size, DecoderShape] = {
    "small": DecoderShape(4, 4, 128),
    "medium": DecoderShape(6, 6, 384),
    "large": DecoderShape(12, 12, 768),
}
"""Some 0.8, 11 and 85 million parameters beside the embeddings; `large` is GPT-2's smallest."""


class Decoder(nn.Module):
    """GPT-2 (Radford et al. 2019) as `transformers` builds it, from a random start.

    The embedding of tokens is also the output layer. `dropout` is that of embeddings and residuals;
    attention has none, since fused attention draws from the global generator, which no run may
    touch. The ids that begin and end a text are 0 and mean nothing here.
    """

    def __init__(self, shape: DecoderShape, words: int, context: int, dropout: float) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 - seconds of import

        super().__init__()
        self.targets = context
        config = GPT2Config(
            vocab_size=words,
            n_positions=context,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            embd_pdrop=dropout,
            resid_pdrop=dropout,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
        )
        self.network = GPT2LMHeadModel(config)
        use_own_dropout(self.network)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids int64 `[b, t]` to logits `[b * t, words]`."""
        logits: torch.Tensor = self.network(input_ids=tokens).logits
        return logits.flatten(0, 1)


class LSTMModel(nn.Module):
    """Embedding → LSTM layers → linear, with the state zero at the beginning of a sequence."""

    def __init__(
        self, words: int, context: int, *, embedding: int, hidden: int, layers: int
    ) -> None:
        super().__init__()
        self.targets = context
        self.embedding = nn.Embedding(words, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, words)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Ids int64 `[b, t]` to logits `[b * t, words]`."""
        states, _ = self.lstm(self.embedding(tokens))
        logits: torch.Tensor = self.output(states)
        return logits.flatten(0, 1)
