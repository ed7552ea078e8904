"""The compressors of the suite as a communication hook of DistributedDataParallel.

    model = DistributedDataParallel(Net())
    state = CompressionState(model, TopK(ratio=0.01))
    model.register_comm_hook(state, compression_hook)

From then on `backward` leaves the mean over the processes of C(g_i + e_i), with error feedback, for
any PyTorch optimiser. This is the aggregation of COMP-AMS (arXiv 2205.05632, Algorithm 2) and of
EF-SGD. There is no downlink, since every process hears all others. Other methods, such as those
with two-way compression, are in `wiregrad.optim`.

DDP's buckets (`bucket_cap_mb`) are compressed one after the other, each as a whole or tensor by
tensor. Where the whole model is one bucket, the messages are those of the suite's runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any  # no postponed annotations here: DDP reads those of the hook

import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from wiregrad.comm.accounting import convention
from wiregrad.comm.link import Link
from wiregrad.comm.message import Message
from wiregrad.comm.received import ReceivedRows
from wiregrad.comm.wire_channel import WireChannel
from wiregrad.compressors.base import Compressor, registry
from wiregrad.core.errors import NonFiniteError
from wiregrad.core.layout import BlockKind, Layout
from wiregrad.core.rng import Seeds
from wiregrad.runtimes.distributed.exchange import NOT_FINITE


class CompressionState:
    """The state of `compression_hook` in one process: the residual e_i of each parameter.

    Args:
        model: The model, wrapped in DistributedDataParallel.
        compressor: A Compressor, or a mapping or name as in a run's configuration.
        error_feedback: Whether residuals are kept and added; without it, C(g_i) is sent.
        blocks: The blocks of a bucket that the compressor sees one by one.
        seed: Of random compressors, the same in all processes; at least 0.
        group: The process group of DDP, where it is not the default one.

    Raises:
        ConfigError: The compressor cannot be built.
    """

    def __init__(
        self,
        model: DistributedDataParallel,
        compressor: Compressor | Mapping[str, Any] | str,
        *,
        error_feedback: bool = True,
        blocks: BlockKind = "auto",
        seed: int = 0,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        self.compressor = registry.build(compressor)
        self.error_feedback, self.blocks, self.group = error_feedback, blocks, group
        self.wire_bits = 0
        """Bits on the wire that this process has sent."""
        self._names = {id(param): name for name, param in model.module.named_parameters()}
        self._residuals: dict[str, torch.Tensor] = {}
        self._channels: dict[tuple[str, ...], WireChannel] = {}
        rank, device = dist.get_rank(group), next(model.parameters()).device
        self._generator = Seeds(seed).generator("compressor", "uplink", rank, device=device)

    def mean(self, bucket: dist.GradBucket) -> torch.Tensor:  # type: ignore[name-defined]
        """The mean over the processes of what they send of this bucket, `[d]`.

        All NaN where one of them has NaN or Inf; the residuals are then as before.
        """
        grads, params = bucket.buffer(), bucket.parameters()
        names = tuple(self._names[id(param)] for param in params)
        lengths = [param.numel() for param in params]
        pieces = zip(names, lengths, strict=True)
        residual = torch.cat([self._residuals.get(n, grads.new_zeros(d)) for n, d in pieces])[None]
        mine = self._compress(self._channel(names, params), grads[None], residual)
        messages = self._gather(mine, grads)
        received = ReceivedRows(len(messages), grads)
        for sender, data in enumerate(messages):
            if data is None:
                return torch.full_like(grads, torch.nan)
            received.put(sender, Message.from_bytes(data, grads.numel()))
        if self.error_feedback:
            self._residuals |= zip(names, torch.split(residual[0], lengths), strict=True)
        return received.mean()

    def state_dict(self) -> dict[str, Any]:
        """The state of this process: every rank saves and loads its own."""
        return {
            "residuals": dict(self._residuals),
            "generator": self._generator.get_state(),
            "wire_bits": self.wire_bits,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state` of the same rank.

        Random compressors draw for each bucket, and DDP forms other buckets in its first round, so
        that their draws after loading differ from those of an uninterrupted training.
        """
        self._residuals = {name: value.clone() for name, value in state["residuals"].items()}
        self._generator.set_state(state["generator"])
        self.wire_bits = state["wire_bits"]

    def _compress(
        self, channel: WireChannel, grads: torch.Tensor, residual: torch.Tensor
    ) -> bytes | None:
        """The bytes of C(g + e), and e ← g + e − C(g + e); or those of C(g).

        `grads` and `residual` are `[1, d]`. None where a vector is not finite.
        """
        channel.open(measure=False)
        before = channel.meter.wire
        try:
            if self.error_feedback:
                channel.error_feedback(self.compressor, grads, residual)
            else:
                channel(self.compressor, grads)
        except NonFiniteError:
            return None
        self.wire_bits += channel.meter.wire - before
        return channel.data

    def _channel(self, names: tuple[str, ...], params: Sequence[torch.Tensor]) -> WireChannel:
        """The channel of a bucket; DDP forms other buckets after the first round."""
        if names not in self._channels:
            layout = Layout(names, tuple(tuple(param.shape) for param in params))
            price = convention("formula").uplink
            link = Link(layout, self.blocks, price, [self._generator])
            self._channels[names] = WireChannel(link)
        return self._channels[names]

    def _gather(self, data: bytes | None, like: torch.Tensor) -> list[bytes | None]:
        """The bytes of all processes' messages, by rank, from those of this process, `data`.

        None stands for a message that could not be formed, since a vector was not finite.
        """
        size = NOT_FINITE if data is None else len(data)
        mine = torch.tensor([size], device=like.device)
        sizes = [torch.empty_like(mine) for _ in range(dist.get_world_size(self.group))]
        dist.all_gather(sizes, mine, group=self.group)
        lengths = [int(each) for each in sizes]
        buffer = torch.zeros(max(0, *lengths), dtype=torch.uint8, device=like.device)
        if data is not None:
            buffer[:size] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        buffers = [torch.empty_like(buffer) for _ in lengths]
        dist.all_gather(buffers, buffer, group=self.group)
        return [
            None if length == NOT_FINITE else buffer[:length].cpu().numpy().tobytes()
            for buffer, length in zip(buffers, lengths, strict=True)
        ]


def compression_hook(
    state: CompressionState,
    bucket: dist.GradBucket,  # type: ignore[name-defined]  # torch has no stub of it
) -> torch.futures.Future[torch.Tensor]:
    """The hook: see the top of the module. NaN or Inf of one process is NaN in all of them."""
    mean = state.mean(bucket)
    devices: list[int | str | torch.device] = [mean.device] if mean.device.type != "cpu" else []
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future(devices=devices)
    future.set_result(mean)
    return future
