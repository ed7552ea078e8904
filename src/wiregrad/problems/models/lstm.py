"""The LSTM classifier of COMP-AMS on IMDB."""

from __future__ import annotations

import torch
from torch import nn

PADDING = 0
"""Token that fills a review up at its end; it occurs nowhere else."""


class ReviewLSTM(nn.Module):
    """Embedding → LSTM → its output at the last word → fc → ReLU → fc, for tokens `[b, length]`.

    The embedding has a row for padding (0), one for all unknown words (1) and one for each word of
    the vocabulary; the padding row is never read, so its gradient is zero. The text names "two
    fully connected layers"; the ReLU between them is ours, without it they would be one.
    """

    def __init__(self, words: int, embedding: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words + 2, embedding, padding_idx=PADDING)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.fc1 = nn.Linear(hidden, hidden)
        self.fc2 = nn.Linear(hidden, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[b, 2]`."""
        lengths = (tokens != PADDING).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        _, (last, _) = self.lstm(packed)
        logits: torch.Tensor = self.fc2(self.fc1(last[0]).relu())
        return logits
