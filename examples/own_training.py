"""Train a network of your own on MNIST with a method of the suite, in one process or several.

python examples/own_training.py
torchrun --nproc-per-node 2 examples/own_training.py --method cd_adam
"""

from __future__ import annotations

import argparse
import os

import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from wiregrad import data
from wiregrad.optim import CompressedOptimizer

METHODS = {
    "comp_ams": {"lr": 1e-3, "compressor": {"name": "top_k", "ratio": 0.01}},
    "cd_adam": {"lr": 1e-3, "compressor": "scaled_sign"},
    "ef21": {"lr": 0.05, "compressor": {"name": "top_k", "ratio": 0.01}},
}


def main(method: str, epochs: int, samples: int) -> None:
    """Train a small network; rank 0 prints the test accuracy and what was sent, epoch by epoch.

    `method` is a key of METHODS; `samples` is how many training images are used.
    """
    if "RANK" in os.environ:  # started by torchrun
        dist.init_process_group("gloo")
    rank = dist.get_rank() if dist.is_initialized() else 0
    sets = data.load("mnist|mnist-5k").tensors
    pictures = {part: sets[f"{part}_images"].flatten(1) / 255 for part in ("train", "test")}
    train = TensorDataset(pictures["train"][:samples], sets["train_labels"][:samples])
    sampler = DistributedSampler(train) if dist.is_initialized() else None
    loader = DataLoader(train, batch_size=32, sampler=sampler, shuffle=sampler is None)

    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = CompressedOptimizer(model.named_parameters(), method, **METHODS[method])
    for epoch in range(epochs):
        if sampler is not None:
            sampler.set_epoch(epoch)
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        if rank == 0:
            with torch.no_grad():
                right = model(pictures["test"]).argmax(1) == sets["test_labels"]
            sent = optimizer.bits.uplink_bits_wire / 8e6
            print(f"epoch {epoch + 1}: {right.double().mean():.1%} correct, {sent:.2f} MB sent up")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, default="comp_ams")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=20_000)
    given = parser.parse_args()
    main(given.method, given.epochs, given.samples)
