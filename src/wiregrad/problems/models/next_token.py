"""Language models: a decoder like GPT-2, and an LSTM. They return the logits of each next token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from wiregrad.problems.models.pretrained import use_own_dropout

Size = Literal["small", "medium", "large"]


@dataclass(frozen=True)
class DecoderShape:
    """The dimensions of a decoder."""

    layers: int
    heads: int
    """Attention heads of a layer."""
    width: int
    """Length of a state vector."""


SHAPES: dict[Size, DecoderShape] = {
    "small": DecoderShape(4, 4, 128),
    "medium": DecoderShape(6, 6, 384),
    "large": DecoderShape(12, 12, 768),
}
"""About 0.8, 11 and 85 million parameters without embeddings; `large` is the smallest GPT-2."""


class Decoder(nn.Module):
    """GPT-2 (Radford et al. 2019) as `transformers` builds it, randomly initialised.

    The embedding of tokens is also the output layer. Attention has no dropout, since fused
    attention draws from the global generator, which a run must not use. The ids for the beginning
    and the end of a text are set to 0 and not used.

    Args:
        shape: Layers, heads and width.
        words: Size of the vocabulary.
        context: Tokens of a window.
        dropout: Probability of dropout on embeddings and residuals, in [0, 1).
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
        """From ids int64 `[b, t]` to logits `[b * t, words]`."""
        logits: torch.Tensor = self.network(input_ids=tokens).logits
        return logits.flatten(0, 1)


class LSTMModel(nn.Module):
    """Embedding → LSTM layers → linear layer; a window starts with a state of zeros.

    Args:
        words: Size of the vocabulary.
        context: Tokens of a window.
        embedding: Width of the embedding.
        hidden: Width of the state of each layer.
        layers: Number of LSTM layers.
    """

    def __init__(
        self, words: int, context: int, *, embedding: int, hidden: int, layers: int
    ) -> None:
        super().__init__()
        self.targets = context
        self.embedding = nn.Embedding(words, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, words)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """From ids int64 `[b, t]` to logits `[b * t, words]`."""
        states, _ = self.lstm(self.embedding(tokens))
        logits: torch.Tensor = self.output(states)
        return logits.flatten(0, 1)
