"""Data-parallel training in several processes: ``torchrun --nproc-per-node=N -m cssgan train ...``.

Each process works on its rows of the same global batch. Gradients are averaged over the processes before the optimizer
steps, and batch norm uses the statistics of the global batch, so that N processes compute the same step as one.
Gradients are reduced in a few large buckets after the backward pass instead of by hooks inside it. Discriminators that
are frozen during the generator step, gradient penalties and gradient accumulation therefore need no special cases.
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

_START_TIMEOUT_SECONDS = 1800
"""How long processes wait for each other at the start of a run."""
_BUCKET_ELEMENTS = 1 << 25
"""Elements per all-reduce (128 MiB of float32)."""


def check_world_size(config: Config, world_size: int) -> None:
    """Raise `OptionError` if the batch is not divisible by `world_size` processes, or for a CUDA graph with several."""
    parts = world_size * config.train.accumulate
    if config.train.batch_size % parts:
        raise OptionError(
            "train.batch_size", config.train.batch_size, f"a multiple of processes x train.accumulate ({parts})"
        )
    if config.loss.mismatch_weight > 0 and config.train.batch_size < 2 * parts:
        raise OptionError(
            "train.batch_size",
            config.train.batch_size,
            f"at least {2 * parts} with loss.mismatch_weight: two videos for each process and part",
        )
    if world_size > 1 and config.compute.cuda_graph:
        raise OptionError("compute.cuda_graph", True, "false with more than one process")


@dataclass(frozen=True, kw_only=True, slots=True)
class DistContext:
    """The processes of a run, and collective operations on them. `SINGLE_PROCESS` without torchrun."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine: the index of this process's GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def all_reduce_mean(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place."""
        if self.world_size == 1:
            return
        bucket: list[Tensor] = []
        for tensor in tensors:
            bucket.append(tensor)
            if sum(t.numel() for t in bucket) >= _BUCKET_ELEMENTS:
                self._reduce_bucket(bucket)
                bucket = []
        if bucket:
            self._reduce_bucket(bucket)

    def _reduce_bucket(self, tensors: list[Tensor]) -> None:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world_size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.world_size > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def all_reduce_max(self, value: int) -> int:
        """The maximum over the processes."""
        return max(cast("list[int]", self.all_gather(value)))

    def all_gather(self, value: object) -> list[Any]:
        """The value of each process, which must be picklable and small."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=_control_group())
        return values

    def barrier(self) -> None:
        """Wait for all processes."""
        self.all_gather(None)


SINGLE_PROCESS = DistContext()
_control: list[dist.ProcessGroup] = []


def _control_group() -> dist.ProcessGroup:
    """A gloo group for small Python objects; with NCCL every GPU would have to wait for them."""
    if not _control:
        _control.append(cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=timedelta(hours=2))))
    return _control[0]


def initialize(device_type: str) -> DistContext:
    """Join the process group of torchrun's environment variables; `SINGLE_PROCESS` without them."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return SINGLE_PROCESS
    dist_context = DistContext(
        rank=int(os.environ["RANK"]), world_size=world_size, local_rank=int(os.environ.get("LOCAL_RANK", "0"))
    )
    if device_type == "cuda":
        torch.cuda.set_device(dist_context.local_rank)
    if not dist.is_initialized():
        store = store_of_this_start(next(dist.rendezvous("env://"))[0], dist_context.rank, world_size)
        backend = "nccl" if device_type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=dist_context.rank, world_size=world_size)
    _control_group()
    return dist_context


def store_of_this_start(store: dist.Store, rank: int, world_size: int) -> dist.PrefixStore:
    """A namespace of the store without entries of earlier starts of these processes.

    torchrun keeps one store over all restarts (pytorch issue 135712). A process that starts before the one it looks for
    would read the address of the process that died, and the restart would fail or hang. torchrun's restart counter
    differs between machines, so rank 0 chooses a new random name at each start. The other ranks use a name only after
    rank 0 has answered their request under that name, which a dead process cannot do.

    Raises:
        RunError: rank 0 does not start in time.
    """
    root = dist.PrefixStore("cssgan", store)
    root.set_timeout(timedelta(seconds=_START_TIMEOUT_SECONDS))
    if rank == 0:
        name = uuid.uuid4().hex
        root.set("start", name)
        for other in range(1, world_size):
            root.set(f"{name}/answer/{root.get(f'{name}/request/{other}').decode()}", "yes")
        return dist.PrefixStore(name, root)
    request = uuid.uuid4().hex
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        name = root.get("start").decode()  # may be of an earlier start: read it again until rank 0 answers
        root.set(f"{name}/request/{rank}", request)
        if root.check([f"{name}/answer/{request}"]):
            return dist.PrefixStore(name, root)
        time.sleep(0.1)
    raise RunError(
        f"process {rank} of {world_size}: process 0 did not start within {_START_TIMEOUT_SECONDS} s; "
        "see torchrun's message about it, and start again"
    )


def shut_down() -> None:
    """Undo `initialize`."""
    _control.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over the processes. Its gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(ctx: FunctionCtx, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        return cast(Tensor, _SumOverProcesses.apply(grads[0]))


class CpuSyncBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.SyncBatchNorm` for CPUs, which torch's implementation does not support."""

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


def synchronize_batch_norms(network: nn.Module, dist_context: DistContext, device: torch.device) -> None:
    """Replace batch norm layers by ones with the statistics of the global batch; weights stay. One process: no-op."""
    if dist_context.world_size == 1:
        return
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                layer = nn.SyncBatchNorm if device.type == "cuda" else CpuSyncBatchNorm2d
                synchronized = layer(
                    child.num_features,
                    child.eps,
                    cast(float, child.momentum),
                    track_running_stats=child.track_running_stats,
                )
                synchronized.load_state_dict(child.state_dict())
                setattr(module, name, synchronized.to(device))
