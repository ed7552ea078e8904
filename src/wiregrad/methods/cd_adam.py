"""CD-Adam (Wang, Lin, Chen, AISTATS 2022, arXiv 2111.00705)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wiregrad.comm.channel import Channel
from wiregrad.comm.received import Received
from wiregrad.methods.base import Step, register
from wiregrad.methods.rows import rows_like
from wiregrad.methods.state import Estimates, LargestMoments, MarkovServer, State
from wiregrad.methods.two_way import AMSGradAtWorkers


@dataclass
class CDAdamReplica(LargestMoments):
    """x, the moments and g~, what the server has told everyone of the gradient; each `[..., d]`."""

    g: torch.Tensor


@register("cd_adam")
@dataclass(frozen=True, kw_only=True)
class CDAdam(AMSGradAtWorkers):
    """CD-Adam: a Markov compression sequence each way, AMSGrad at every worker.

    g^_i = g^ = g~ = m = v = v^ = 0;  then
    worker  c_i = C(g_i - g^_i);  g^_i <- g^_i + c_i;  send c_i
    server  g^ <- g^ + mean c_i;  c = C(g^ - g~);  g~ <- g~ + c;  broadcast c
    all     g~ <- g~ + c
            m <- b1 m + (1-b1) g~;  v <- b2 v + (1-b2) g~^2;  v^ <- max(v^, v)
            x <- x - lr m / sqrt(v^ + eps)

    C is `compressor`, b1 and b2 are `beta1` and `beta2`, lr is the paper's α. The authors' code
    also corrects the bias of the moments, has eps outside the root, and adds weight_decay x to g~:
    `bias_correction`, `eps_inside`, `weight_decay`. The compression error that a run measures is
    that of the estimate: ‖g^_i - g_i‖² / ‖g_i‖².
    """

    source = "arXiv 2111.00705 (CD-Adam), and the code that its authors published"
    sweepable = True

    def init(self, x0: torch.Tensor, n: int) -> State:
        server = MarkovServer(torch.zeros_like(x0), torch.zeros_like(x0))
        replica = CDAdamReplica(x0.clone(), *(torch.zeros_like(x0) for _ in range(4)))
        return State(Estimates(rows_like(x0, n)), server, replica)

    def work(
        self,
        workers: Estimates,
        replica: CDAdamReplica,
        grads: torch.Tensor,
        up: Channel,
        step: Step,
    ) -> None:
        workers.h += up(self.compressor, grads - workers.h, relative_to=grads)

    def serve(self, server: MarkovServer, received: Received, down: Channel, step: Step) -> None:
        server.g += received.mean()
        server.w += down(self.compressor, server.g - server.w)

    def move(self, replica: CDAdamReplica, broadcast: torch.Tensor, step: Step) -> None:
        replica.g += broadcast
        self.descend(replica, replica.g, step)
