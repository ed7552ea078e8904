"""A pretrained encoder from its files: configuration, tokeniser and weights, never code.

Tensors: ``config`` and ``tokenizer`` uint8 [bytes], the unchanged JSON files; ``weights/NAME``, the
floating-point weights under their own names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from wiregrad.core.errors import DataCorrupt
from wiregrad.data.files import Arrays, read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = "weights/"
"""Prefix of the tensors that are weights."""


def read_encoder(files: Mapping[str, Path]) -> Arrays:
    """Format ``encoder``: `config` and `tokenizer` (JSON), `weights` (safetensors).

    Raises DataCorrupt where a file is not of this kind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    arrays: Arrays = {}
    for role in ("config", "tokenizer"):
        raw = read_bytes(files[role])
        try:
            json.loads(raw)
        except ValueError as error:
            raise DataCorrupt(f"{files[role]}: not JSON ({error})") from None
        arrays[role] = np.frombuffer(raw, dtype=np.uint8)
    try:
        weights = load(read_bytes(files["weights"]))
    except SafetensorError as error:
        raise DataCorrupt(f"{files['weights']}: not safetensors ({error})") from None
    floating = {k: v for k, v in weights.items() if np.issubdtype(v.dtype, np.floating)}
    return arrays | {WEIGHTS + name: value for name, value in floating.items()}
