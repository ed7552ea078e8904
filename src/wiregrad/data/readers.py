"""The reader of each format: a function from raw files to arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wiregrad.data import (
    adult,
    corpora,
    encoder,
    folders,
    images,
    libsvm,
    photos,
    reviews,
    sentences,
)
from wiregrad.data.files import Arrays
from wiregrad.data.schema import Format

Reader = Callable[..., Arrays]
"""Called with the files by role, and the options of the entry as keyword arguments."""

READERS: dict[Format, Reader] = {
    "mnist-idx": images.read_mnist_idx,
    "mnist-idx-5k": images.read_mnist_idx_5k,
    "mnist-csv": images.read_mnist_csv,
    "cifar-binary": images.read_cifar_binary,
    "cifar100-binary": images.read_cifar100_binary,
    "cifar-webp": images.read_cifar_webp,
    "tiny-imagenet-npz": photos.read_tiny_npz,
    "tiny-imagenet-zip": photos.read_tiny_zip,
    "image-tar": photos.read_tar,
    "image-folder": folders.read_folder,
    "imdb-jsonl": reviews.read_jsonl,
    "imdb-csv": reviews.read_csv,
    "imdb-text-jsonl": sentences.read_jsonl,
    "imdb-text-csv": sentences.read_reviews_table,
    "sst2-tsv": partial(sentences.read_table, table=sentences.SST2),
    "sst2-jsonl": sentences.read_jsonl,
    "cola-tsv": partial(sentences.read_table, table=sentences.COLA),
    "cola-jsonl": sentences.read_jsonl,
    "rte-tsv": partial(sentences.read_table, table=sentences.RTE),
    "rte-jsonl": partial(sentences.read_jsonl, texts=2),
    "ag-news-tsv": partial(sentences.read_table, table=sentences.AG_NEWS),
    "ag-news-csv": partial(sentences.read_table, table=sentences.AG_NEWS_CSV),
    "text": corpora.read_whole,
    "text-lines": corpora.read_lines,
    "text-lines-jsonl": corpora.read_lines_jsonl,
    "encoder": encoder.read_encoder,
    "libsvm": libsvm.read_set,
    "adult": adult.read_adult,
}
