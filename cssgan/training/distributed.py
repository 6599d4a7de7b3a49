"""Several processes that share every batch: ``torchrun --nproc-per-node=N -m cssgan train ...``.

Each process works on its rows of the same global batch; gradients are averaged over the processes before the optimizers
move, and batch normalization takes its statistics over all of them, so that N processes compute what one would. The
gradients are reduced in a few large pieces after the backward pass, not by hooks inside of it: discriminators that are
frozen and thawed within a step, penalties and accumulated parts need no exceptions then.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from cssgan.config import Config
from cssgan.errors import RunError
from phonics_data.errors import OptionError

_PATIENCE_SECONDS = 1800
"""How long processes wait for one another at the start of a run."""
_PIECE = 1 << 25
"""Elements that are reduced at once (128 MiB of float32)."""


def check_share(config: Config, world: int) -> None:
    """Raises `OptionError` for a batch that `world` processes cannot share evenly, or a graph over several of them."""
    parts = world * config.train.accumulate
    if config.train.batch_size % parts:
        raise OptionError(
            "train.batch_size", config.train.batch_size, f"a multiple of processes x train.accumulate ({parts})"
        )
    if world > 1 and config.compute.cuda_graph:
        raise OptionError("compute.cuda_graph", True, "false with more than one process")


@dataclass(frozen=True, kw_only=True, slots=True)
class DistContext:
    """The processes of a run. `ALONE` where there is one."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Number among the processes of this machine: which GPU is ours."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place."""
        if self.world == 1:
            return
        piece: list[Tensor] = []
        for tensor in tensors:
            piece.append(tensor)
            if sum(t.numel() for t in piece) >= _PIECE:
                self._average_piece(piece)
                piece = []
        if piece:
            self._average_piece(piece)

    def _average_piece(self, tensors: list[Tensor]) -> None:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same in each."""
        if self.world > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: int) -> int:
        """The largest `flag` of the processes; they agree on when to stop by it."""
        if self.world == 1:
            return flag
        return max(cast("list[int]", self.gather(flag)))

    def gather(self, value: object) -> list[Any]:
        """The (picklable, small) value of each process."""
        values: list[Any] = [None] * self.world
        if self.world == 1:
            return [value]
        dist.all_gather_object(values, value, group=_control_group())
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        self.gather(None)


SINGLE_PROCESS = DistContext()
_control: list[dist.ProcessGroup] = []


def _control_group() -> dist.ProcessGroup:
    """Small words between processes go by gloo, also where gradients go by NCCL: no GPU has to wait for them."""
    if not _control:
        _control.append(cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=timedelta(hours=2))))
    return _control[0]


def join(device_type: str) -> DistContext:
    """The processes that torchrun started, from its environment variables; `ALONE` without them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return SINGLE_PROCESS
    dist_context = DistContext(
        rank=int(os.environ["RANK"]), world=world, local_rank=int(os.environ.get("LOCAL_RANK", "0"))
    )
    if device_type == "cuda":
        torch.cuda.set_device(dist_context.local_rank)
    if not dist.is_initialized():
        store = this_start(next(dist.rendezvous("env://"))[0], dist_context.rank, world)
        backend = "nccl" if device_type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=dist_context.rank, world_size=world)
    _control_group()
    return dist_context


def this_start(store: dist.Store, rank: int, world: int) -> dist.PrefixStore:
    """A part of the store in which nothing stands that an earlier start of these processes left.

    torchrun keeps one store over all its restarts (pytorch issue 135712): a process that is quicker than the one it
    looks for reads the address where that one listened before it died, and the restart fails, or waits forever. Its
    counter of restarts differs between machines, so the first process names each start. A name counts once that
    process has answered to this very one, which the dead cannot.

    Raises:
        RunError: the first process does not come.
    """
    root = dist.PrefixStore("cssgan", store)
    root.set_timeout(timedelta(seconds=_PATIENCE_SECONDS))
    if rank == 0:
        name = uuid.uuid4().hex
        root.set("start", name)
        for other in range(1, world):
            root.set(f"{name}/answer/{root.get(f'{name}/asked/{other}').decode()}", "yes")
        return dist.PrefixStore(name, root)
    asked = uuid.uuid4().hex
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        name = root.get("start").decode()  # perhaps of a start that is over: read again until it answers
        root.set(f"{name}/asked/{rank}", asked)
        if root.check([f"{name}/answer/{asked}"]):
            return dist.PrefixStore(name, root)
        time.sleep(0.1)
    raise RunError(
        f"process {rank} of {world}: process 0 has not come within {_PATIENCE_SECONDS} s; "
        "see what torchrun says of it, and start again"
    )


def leave() -> None:
    """Close what `join` opened."""
    _control.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes; each of them sends back the gradient that it got."""

    @staticmethod
    def forward(ctx: FunctionCtx, mine: Tensor) -> Tensor:
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        return cast(Tensor, _SumOverProcesses.apply(grads[0]))


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over the batches of all processes; same parameters and buffers as its parent.

    torch's own works on GPUs alone; `share_norms` takes that one there.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        count = x.numel() // x.shape[1]
        sums = torch.cat((x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3)), x.new_tensor([float(count)])))
        total = cast(Tensor, _SumOverProcesses.apply(sums))
        count_all = total[-1]
        mean, square = (total[:-1] / count_all).chunk(2)
        variance = (square - mean.square()).clamp(min=0.0)
        if self.track_running_stats:
            self._track(mean, variance * (count_all / (count_all - 1.0)))
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def share_norms(network: nn.Module, dist_context: DistContext, device: torch.device) -> None:
    """Let every batch normalization of `network` see the whole batch; changes modules, not weights."""
    if dist_context.world == 1:
        return
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                kind = nn.SyncBatchNorm if device.type == "cuda" else SharedBatchNorm2d
                shared = kind(
                    child.num_features,
                    child.eps,
                    cast(float, child.momentum),
                    track_running_stats=child.track_running_stats,
                )
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.to(device))
