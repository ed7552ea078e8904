"""Small generated data sets in the form of the real ones, for problems' `bind`."""

import torch

from wiregrad.data import DataSet


def dataset(tensors):
    return DataSet("tiny", "tiny", "generated", "0" * 64, tensors)


def images(shape=(28, 28), train=200, test=60):
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for split, count in (("train", train), ("test", test)):
        tensors[f"{split}_images"] = torch.randint(
            256, (count, *shape), generator=generator, dtype=torch.uint8
        )
        tensors[f"{split}_labels"] = torch.randint(10, (count,), generator=generator)
    return dataset(tensors)


def reviews(train=60, test=20, length=40):
    generator = torch.Generator().manual_seed(2)
    tensors = {}
    for split, count in (("train", train), ("test", test)):
        lengths = torch.randint(1, length + 1, (count,), generator=generator)
        lengths[0] = length
        tokens = torch.randint(1, 2002, (count, length), generator=generator, dtype=torch.int16)
        tokens[torch.arange(length) >= lengths[:, None]] = 0
        tensors[f"{split}_tokens"], tensors[f"{split}_lengths"] = tokens, lengths
        tensors[f"{split}_labels"] = torch.randint(2, (count,), generator=generator)
    return dataset(tensors)


def rows(count=47, features=9, density=1.0):
    generator = torch.Generator().manual_seed(3)
    dense = torch.randn(count, features, generator=generator, dtype=torch.float64)
    keep = torch.rand(count, features, generator=generator) < density
    labels = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0).double()
    return dataset(
        {
            "crow": torch.cat([torch.zeros(1, dtype=torch.int64), keep.sum(1).cumsum(0)]),
            "col": keep.nonzero()[:, 1],
            "values": dense[keep],
            "labels": labels,
            "shape": torch.tensor([count, features]),
        }
    )


def text_set(texts, tensors=None):
    """A set of texts by split, or of given tensors, with the digest that is really theirs."""
    from wiregrad.data.prepared import digest

    tensors = tensors or {
        f"{split}_text": torch.tensor(list(text.encode()), dtype=torch.uint8)
        for split, text in texts.items()
    }
    sha256 = digest({name: tensor.numpy() for name, tensor in tensors.items()})
    return DataSet("tiny", "tiny", "written here", sha256, tensors)
